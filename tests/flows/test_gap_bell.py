"""A gap that ingest notes rings once, when it is over, and a storm of them rings seldom."""

import asyncio

import pytest

from flows.gap_bell import GAP_EVENT, REST_S, SYMBOLS_TOLD, GapBell, event
from history.partial_bars import REASON as PARTIAL
from market.symbols import Symbol
from sinks.ledger import GapState, Ledger

S = 10**9
NOW = 1_767_355_200 * S
BTC, ETH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")


class Desk:
    """A ledger that ingest writes into, a bell that watches it, a clock, and what reached Prefect."""

    def __init__(self, path):
        self.ingest, self.watched = Ledger(path), Ledger(path)
        self.sent, self.clock, self.down = [], 0.0, False
        self.bell = self.new_bell()

    def new_bell(self):
        """A bell that begins now."""
        return GapBell(self.watched, self.post, lambda: self.clock, lambda: NOW)

    async def post(self, document):
        """Take an event, as Prefect would."""
        if self.down:
            raise ConnectionError
        self.sent.append(document["payload"])

    def look(self, later=REST_S):
        """What the bell sends when it looks, some seconds later."""
        self.clock += later
        asyncio.run(self.bell.look())
        told, self.sent = self.sent, []
        return told


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "desk.sqlite")
    yield made
    made.ingest.close()
    made.watched.close()


def test_a_gap_rings_when_it_is_over_and_once(desk):
    """While it lasts there is nothing to fill it to; its end is what ingest notes when ticks come again."""
    desk.ingest.open_gap(BTC, NOW, "down", NOW, "sim")
    assert desk.look() == []
    desk.ingest.end_gap(BTC, NOW, "down", NOW + 90 * S)
    assert desk.look() == [{"gaps": 1, "symbols": ["SIM:BTCUSD"], "reasons": ["down"]}]
    assert desk.look() == []


def test_what_was_there_before_is_left_to_the_scan(desk):
    """Else each start of the flows would ring for every gap that nobody can fill."""
    desk.ingest.note_gap(BTC, NOW, NOW + S, "trade_ids", NOW)
    desk.bell = desk.new_bell()
    assert desk.look() == []


def test_other_writes_into_the_ledger_ring_nothing(desk):
    desk.ingest.subscribe(BTC, "sim", NOW)
    assert desk.look() == []
    number = desk.ingest.note_gap(BTC, NOW, NOW + S, "trade_ids", NOW)
    assert len(desk.look()) == 1
    desk.ingest.settle_gap(number, GapState.HEALED, "sim")
    assert desk.look() == []


def test_what_the_healer_notes_itself_rings_nothing(desk):
    """It would be called again for what it is doing."""
    desk.ingest.note_gap(BTC, NOW, NOW + 60 * S, PARTIAL, NOW)
    assert desk.look() == []


def test_a_gap_that_comes_to_a_later_end_rings_again(desk):
    """More of it was noticed than was healed."""
    desk.ingest.note_gap(BTC, NOW, NOW + S, "late", NOW)
    assert len(desk.look()) == 1
    desk.ingest.note_gap(BTC, NOW, NOW + 60 * S, "late", NOW)
    assert desk.look() == [{"gaps": 1, "symbols": ["SIM:BTCUSD"], "reasons": ["late"]}]


def test_a_storm_of_gaps_rings_seldom_and_tells_of_all(desk):
    """Each ring is a run, which is a process for some seconds."""
    rings = []
    for number in range(100):
        desk.ingest.note_gap(BTC if number % 2 else ETH, NOW + number * 60 * S, NOW + number * 60 * S + S, "down", NOW)
        rings += desk.look(later=1.0)
    rings += desk.look()
    assert len(rings) == 100 // REST_S + 1
    assert sum(ring["gaps"] for ring in rings) == 100


def test_what_prefect_did_not_take_is_told_again(desk):
    desk.down = True
    desk.ingest.note_gap(BTC, NOW, NOW + S, "down", NOW)
    with pytest.raises(ConnectionError):
        desk.look()
    desk.down = False
    assert desk.look() == [{"gaps": 1, "symbols": ["SIM:BTCUSD"], "reasons": ["down"]}]


def test_an_event_stays_small_whatever_happened(desk):
    """The server refuses large ones, and a venue that was away is a gap of each of its symbols."""
    for number in range(3 * SYMBOLS_TOLD):
        desk.ingest.note_gap(Symbol("SIM", f"S{number:03}"), NOW, NOW + S, "down", NOW)
    made = event(desk.watched.gaps(), NOW)
    assert (made["event"], made["occurred"]) == (GAP_EVENT, "2026-01-02T12:00:00+00:00")
    assert len(made["payload"]["symbols"]) == SYMBOLS_TOLD
    assert made["payload"]["gaps"] == 3 * SYMBOLS_TOLD
