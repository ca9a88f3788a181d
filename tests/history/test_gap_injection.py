"""A hundred outages and a hundred quiet spells: the ledger tells them apart, and all that the venue has is filled in.

In virtual time, but otherwise as on a desk that runs: real sockets, the real journal, ledger, store and bars dataflow,
and the healer started when a gap is over, and every five minutes.
"""

import asyncio
import os
from itertools import count
from typing import NamedTuple

import numpy as np
import pytest
from virtual.virtual_desk import Venue, VirtualDesk, slow_down
from virtual.virtual_time import VirtualTime, run_in

from market.intervals import INTERVALS, MINUTE_NS, Interval
from sinks.heal_book import HealBook
from sinks.ledger import GapState
from sources.simulated.official_bars import official_bars

SECOND = 10**9
START = 1_767_625_200 * SECOND
"""2026-01-05T15:00:00Z, a Monday."""
CYCLE_S = 100
EVENTS = int(os.environ.get("POCKETQUANT_TEST_OUTAGES", "100"))
FLOW_START_S = 10.0
"""From the event of a gap to the first line of the run that it starts."""
WAIT_S = 75.0
"""What such a run waits for the gap's last minute."""
EVERY_S = 300.0


class Event(NamedTuple):
    """Something that was injected."""

    kind: str
    start: int
    end: int
    symbols: tuple
    """Whose ticks are lost, or who are quiet."""


class Injector:
    """Outages and quiet spells in turns, drawn by a seed."""

    KINDS = ("drop", "rst", "half_open", "silent", "maintenance", "refuse", "mute", "truncated", "away")

    def __init__(self, clock, venue, desk, seed=3):
        self.clock, self.venue, self.desk = clock, venue, desk
        self.rng = np.random.default_rng(seed)
        self.outages: list[Event] = []
        self.quiet: list[Event] = []

    async def run(self, events):
        """One of each a cycle."""
        for number in range(events):
            begin = START + (60 + number * CYCLE_S) * SECOND
            await self._until(begin + int(self.rng.uniform(0, 15) * SECOND))
            await self._outage(self.KINDS[number % len(self.KINDS)])
            await self._until(begin + int(self.rng.uniform(55, 60) * SECOND))
            self._hush()
        await self._until(START + (60 + events * CYCLE_S) * SECOND)

    async def _until(self, moment):
        await asyncio.sleep(max(0.0, (moment - self.clock.now_ns()) / SECOND))

    async def _outage(self, kind):
        start, lasts = self.clock.now_ns(), float(self.rng.uniform(8, 25))
        symbols = tuple(self.venue.symbols)
        if kind == "away":
            await self.desk.stop()
            await asyncio.sleep(lasts)
            await self.desk.start()
        elif kind in {"drop", "rst"}:
            lasts = 0.0
            self.venue.command(kind=kind)
        elif kind == "silent":
            self.venue.command(kind="mute", heartbeats=False, duration_s=lasts)
        elif kind == "maintenance":
            self.venue.command(kind="maintenance", seconds=1.0, duration_s=lasts)
        elif kind == "refuse":
            self.venue.command(kind="refuse", duration_s=lasts)
            self.venue.command(kind="drop")
        elif kind == "half_open":
            self.venue.command(kind="half_open", duration_s=lasts)
        else:
            # Of one symbol only, while its connection lives: nothing but the trades' ids tells of it.
            symbols = (self.venue.symbols[int(self.rng.integers(len(symbols)))],)
            share = {"share": 1.0} if kind == "truncated" else {}
            self.venue.command(kind=kind, symbols=[str(symbols[0])], duration_s=lasts, **share)
        self.outages.append(Event(kind, start, start + int(lasts * SECOND), symbols))

    def _hush(self):
        start, lasts = self.clock.now_ns(), float(self.rng.uniform(15, 35))
        named = self.rng.random() < 0.7
        symbols = (self.venue.symbols[int(self.rng.integers(5))],) if named else tuple(self.venue.symbols)
        self.venue.command(kind="quiet", symbols=[str(symbol) for symbol in symbols], duration_s=lasts)
        self.quiet.append(Event("quiet", start, start + int(lasts * SECOND), symbols))


async def scenario(clock, venue, folder, events):
    """The whole of it, to a last run of the healer and one more that has nothing to do; the desk and the injector."""
    async with venue.server:
        desk = VirtualDesk(clock, venue, folder)
        injector = Injector(clock, venue, desk)
        over = asyncio.Event()

        async def by_event():
            while not over.is_set():
                await desk.told.wait()
                await asyncio.sleep(FLOW_START_S)
                desk.told.clear()
                await desk.heal(wait_s=WAIT_S)

        async def by_schedule():
            for number in count():
                await asyncio.sleep(EVERY_S)
                if number % 6 == 5:
                    desk.make_bars()
                await desk.heal()

        await desk.start()
        tasks = [asyncio.ensure_future(work) for work in (desk.watch(), by_event(), by_schedule())]
        await injector.run(events)
        await asyncio.sleep(EVERY_S)
        over.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await desk.stop()
        desk.make_bars()
        # The stop itself is no outage that has ended: all before it can be healed.
        await desk.heal()
        head, served = desk.history.store.head("heal"), venue.served()
        again = await desk.heal()
        assert (again.minutes, again.above, list(again.gaps)) == (0, 0, [])
        assert (desk.history.store.head("heal"), venue.served()) == (head, served)
        venue.keep()
    return desk, injector


def touches(gap, event, slack_s=0):
    end = START * 2 if gap.end is None else gap.end
    return gap.symbol in event.symbols and gap.start < event.end + slack_s * SECOND and event.start <= end


def lost_in(venue, event, symbol, got):
    """Trades of a symbol that were made in an outage and never journaled."""
    made = venue.made[symbol]
    inside = (made["event_time"] >= event.start) & (made["event_time"] < event.end)
    return [int(number) for number in made["trade_id"][inside] if int(number) not in got[symbol]]


def test_outages_are_told_from_quiet_spells_and_all_is_filled(tmp_path, monkeypatch):
    """Precision and recall of the ledger at 99 % or more, every minute as the venue has it, and soon enough."""
    slow_down(monkeypatch)
    clock = VirtualTime(START)
    venue = Venue(clock, rate=2.0)
    desk, injector = run_in(clock, scenario(clock, venue, tmp_path / "desk", EVENTS))
    try:
        report(desk, injector, venue)
    finally:
        desk.close()


def report(desk, injector, venue):
    # What is partial since nothing is known of the time before the subscription is no outage.
    gaps = [gap for gap in desk.history.ledger.gaps() if gap.reason != "partial"]
    got = {symbol: desk.ticks(symbol) for symbol in venue.symbols}

    # A connection that is lost is an outage of all its symbols; one symbol's is one if trades of it were lost.
    wanted = [
        (event, symbol)
        for event in injector.outages
        for symbol in event.symbols
        if len(event.symbols) > 1 or lost_in(venue, event, symbol, got)
    ]
    noted = [any(gap.symbol == symbol and touches(gap, event, 1) for gap in gaps) for event, symbol in wanted]
    # A gap by trade ids begins with the last trade before; a reconnect may take a while after the fault has ended.
    true = [any(touches(gap, event, 30) for event in injector.outages) for gap in gaps]
    hushed = [
        (event, symbol)
        for event in injector.quiet
        for symbol in event.symbols
        if any(gap.symbol == symbol and event.start < gap.start < event.end for gap in gaps if gap.reason != "late")
    ]
    precision, recall = float(np.mean(true)), float(np.mean(noted))

    unsaid = total_lost = 0
    for symbol, made in venue.made.items():
        own = [gap for gap in gaps if gap.symbol == symbol]
        # What is made after ingest has stopped for good is nobody's loss yet.
        first, last = min(got[symbol]), max(got[symbol])
        for number, moment in zip(made["trade_id"].tolist(), made["event_time"].tolist(), strict=True):
            if not first <= number <= last or number in got[symbol]:
                continue
            total_lost += 1
            unsaid += not any(gap.start <= moment < (gap.end or START * 2) for gap in own)

    with HealBook(desk.folders.history) as book:
        notes = book.gap_notes()
    ended = [gap for gap in gaps if gap.end is not None]
    healed = [gap for gap in ended if gap.state is GapState.HEALED]
    # Late ticks are found when bars are made, which here is every half hour and on a desk at once.
    at_once = [gap for gap in healed if gap.reason != "late"]
    since_start = [(notes[gap.id].tried_at - gap.start) / SECOND for gap in at_once]
    since_end = [(notes[gap.id].tried_at - gap.end) / SECOND for gap in at_once]
    p95 = float(np.percentile(since_start, 95))
    print(
        f"\n{len(injector.outages)} outages, {len(injector.quiet)} quiet spells, {len(gaps)} gaps: "
        f"precision {precision:.2%}, recall {recall:.2%} of {len(wanted)}; "
        f"{len(hushed)} gaps that began in a quiet spell; "
        f"{total_lost} trades lost, {unsaid} of them in no gap; "
        f"{len(healed)} of {len(ended)} gaps healed, {len([g for g in healed if g.healed_by == 'sim'])} by the journal "
        f"itself; from gap to healed bar p50 {np.percentile(since_start, 50):.0f} s, p95 {p95:.0f} s, "
        f"max {max(since_start):.0f} s; from its end p95 {np.percentile(since_end, 95):.0f} s"
    )
    assert precision >= 0.99
    assert recall >= 0.99
    assert hushed == []
    assert unsaid == 0
    assert len(healed) == len(ended)
    assert p95 < 120
    filled, held = compare(desk, venue)
    print(f"{held} minute bars of the venue, {filled} of them here and equal")
    assert filled == held > 0


def compare(desk, venue):
    """Minute bars of the venue that the store has with the same figures, and how many there are; longer bars too."""
    filled = held = 0
    first = START // MINUTE_NS * MINUTE_NS + MINUTE_NS
    last = max(gap.start for gap in desk.history.ledger.gaps()) // MINUTE_NS * MINUTE_NS
    for symbol in venue.symbols:
        made = venue.made[symbol]
        official = [bar for bar in official_bars(made, Interval.M1) if first <= bar["start"] and bar["end"] <= last]
        frame = desk.history.store.read(symbol, Interval.M1, first, last, newest_first=False)
        here = {
            (row["start"].timestamp() * SECOND, row["open"], row["high"], row["low"], row["close"], row["trades"]): row
            for row in frame.to_dicts()
        }
        held += len(official)
        assert len(frame) == len(official), "no bar more than the venue has"
        for bar in official:
            row = here.get((bar["start"], bar["open"], bar["high"], bar["low"], bar["close"], bar["trades"]))
            filled += row is not None and row["volume"] == pytest.approx(bar["volume"], rel=1e-9)
        assert set(frame["state"]) <= {"closed", "healed"}
        for interval in INTERVALS[1:7]:
            bars = [bar for bar in official_bars(made, interval) if first <= bar["start"] and bar["end"] <= last]
            if not bars:
                continue
            span = (bars[0]["start"], bars[-1]["end"])
            longer = desk.history.store.read(symbol, interval, *span, newest_first=False)
            keys = ("open", "high", "low", "close", "trades")
            assert [tuple(row[key] for key in keys) for row in longer.to_dicts()] == [
                tuple(bar[key] for key in keys) for bar in bars
            ]
            assert set(longer["state"]) <= {"closed", "healed"}, interval
    return filled, held
