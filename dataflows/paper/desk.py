"""All runs together: ticks go to those that hold their symbols, bars to those that are to see them, controls to one.

What an event comes to is a function of the events before and of nothing else, but for one thing: a strategy that hangs
ends its run by the wall's clock. That is written down with the run, and a rerun ends it at the same place.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from dataflows.paper import rows
from dataflows.paper.deciding import Hung, Thinker
from dataflows.paper.events import Begin, Closed, Event, Out, Rest, Ticks, Told
from dataflows.paper.kept import FAILED, FLATTENING, KILLED, RUNNING
from dataflows.paper.overall import Overall, Shared
from dataflows.paper.run import Run
from dataflows.paper.shown import Shown, by_series, shown_of, since
from dataflows.paper.starting import packed
from market.errors import DeskError
from sinks.paper_book import Control, Position
from trading.called import Step
from trading.records import Records
from trading.ticks import tick_views

VERSION: Final = 1
WHOLE: Final = ""
"""The desk itself, where others have a run."""


class Kept(msgspec.Struct, array_like=True):
    """What is the desk's and no run's. Recovery data."""

    version: int
    overall: Overall
    tail: bytes
    """Where the input stood; empty in the engine's own snapshots."""
    runs: dict[str, bytes]
    """By run its state; empty in the book, which keeps them one by one."""


class Group(NamedTuple):
    """Runs that trade the same symbols in the same order: they share what ticks look like."""

    symbols: tuple[str, ...]
    runs: list[Run]


class PaperDesk:
    """The runs of a desk."""

    def __init__(
        self,
        loops: Path,
        *,
        thinker: Thinker | None = None,
        hung: Mapping[str, int] | None = None,
        state: bytes | None = None,
        runs: Callable[[str], bytes] | None = None,
    ) -> None:
        """Begin without a run, or go on.

        Args:
            loops: Folder of compiled loops.
            thinker: Waits for strategies.
            hung: By run the row at which it was found to hang before this process began.
            state: What `snapshot` gave, or the book has of the desk.
            runs: Gives the state of a run, where `state` came from the book.

        Raises:
            DeskError: The state is of another version.
        """
        self._loops = loops
        self._thinker = thinker or Thinker()
        self._hung = dict(hung or {})
        self._step: Step | None = None
        self.runs: dict[str, Run] = {}
        self.overall = Overall(0, {}, 0, 0)
        self.clock = 0
        self.decisions = 0
        """On so many bars, since this process began."""
        self._groups: list[Group] | None = None
        self._marked: dict[str, tuple[Any, ...]] = {}
        if state is not None:
            self._restore(state, runs)

    def itself(self) -> "PaperDesk":
        """The desk, for who asks for one each time."""
        return self

    @property
    def symbols(self) -> frozenset[str]:
        """Those that runs hold."""
        return frozenset(symbol for run in self.runs.values() for symbol in run.symbols)

    @property
    def counts(self) -> dict[str, int]:
        """How many runs there are by state."""
        found = dict.fromkeys((RUNNING, "stopped", FLATTENING, KILLED, FAILED), 0)
        for run in self.runs.values():
            found[run.state] += 1
        return found

    def take(self, event: Event) -> Out:
        """What an event comes to."""
        self.clock = event.position.clock
        out = Out(event.position, {}, [], {}, {}, [], [])
        if isinstance(event, Ticks):
            self._ticks(event, out)
        elif isinstance(event, Closed):
            self._closed(event, out)
        elif isinstance(event, Told):
            self._told(event, out)
        else:
            self._rest(event, out)
        return out

    def snapshot(self, tail: bytes = b"") -> bytes:
        """All that it goes on from."""
        runs = {name: run.snapshot() for name, run in self.runs.items()}
        return msgspec.msgpack.encode(Kept(VERSION, self.overall, tail, runs))

    def states(self, tail: bytes) -> dict[str, bytes]:
        """The same for the book: the desk's, and each run's."""
        whole = msgspec.msgpack.encode(Kept(VERSION, self.overall, tail, dict.fromkeys(self.runs, b"")))
        return {WHOLE: whole, **{name: run.snapshot() for name, run in self.runs.items()}}

    def _restore(self, state: bytes, states: Callable[[str], bytes] | None) -> None:
        kept = read_state(state)
        self.overall = kept.overall
        for name, own in kept.runs.items():
            self.runs[name] = Run.restore(name, own if states is None else states(name), self._loops, self._stepper())

    # Ticks

    def _ticks(self, event: Ticks, out: Out) -> None:
        position = event.position
        slots = {symbol: slot for slot, symbol in enumerate(event.symbols)}
        for group in self._grouped():
            wanted = [slots.get(symbol, -1) for symbol in group.symbols]
            if len(wanted) == 1:
                kept = event.slots == wanted[0]
                if not kept.any():
                    continue
                whole = bool(kept.all())
                places: Any = 0
            else:
                place_of = np.full(len(event.symbols), -1, np.int32)
                place_of[[slot for slot in wanted if slot >= 0]] = [n for n, slot in enumerate(wanted) if slot >= 0]
                found = place_of[event.slots]
                kept = found >= 0
                if not kept.any():
                    continue
                whole = bool(kept.all())
                places = found if whole else found[kept]
            ticks, seqs, sessions = event.ticks, event.rows, event.sessions
            if not whole:
                ticks, seqs, sessions = ticks[kept], seqs[kept], sessions[kept]
            views = tick_views(ticks, places)
            for run in group.runs:
                if not run.trades_on:
                    continue
                why = run.over_ticks(views, sessions, seqs, out.rows, position.log_seq)
                if why:
                    self._fail(run, why, position, out)
                elif run.state == FLATTENING and not run.holds:
                    run.kept.state = KILLED
                    # With its figures: whoever reads that all is closed finds nothing held.
                    out.rows.setdefault("runs", []).append(run.figures() | {"state": KILLED})
                    self._event(run, out, "info", KILLED, "all positions are closed")

    def _grouped(self) -> list[Group]:
        if self._groups is None:
            groups: dict[tuple[str, ...], list[Run]] = {}
            for run in self.runs.values():
                groups.setdefault(run.symbols, []).append(run)
            self._groups = [Group(symbols, runs) for symbols, runs in groups.items()]
        return self._groups

    # Bars

    def _closed(self, event: Closed, out: Out) -> None:
        position = event.position
        series = by_series(event)
        self._note_revisions(event, out)
        cache: dict[tuple[Any, ...], Shown | None] = {}
        listening: list[tuple[Run, Shown]] = []
        for run in self.runs.values():
            if not run.listens:
                continue
            key = tuple(run.series.items())
            if key not in cache:
                cache[key] = shown_of(event, series, run.series)
            shown = since(cache[key], run.kept.started_seq)
            if shown is not None:
                listening.append((run, shown))
        self._apply_daily_loss(position, out)
        if listening:
            self._decide(listening, position, out)

    def _decide(self, listening: Sequence[tuple[Run, Shown]], position: Position, out: Out) -> None:
        # A run that hung once is not asked again on the same bars.
        asked = [(run, shown) for run, shown in listening if self._hung.get(run.run) != position.seq]
        found = self._thinker.think([_call(run, run.on_footing(shown.views)) for run, shown in asked])
        answers: dict[str, Any] = {run.run: answer for (run, _), answer in zip(asked, found, strict=True)}
        shared = Shared.of(self.overall, self.runs.values())
        equity = out.rows.setdefault("equity", [])
        for run, shown in listening:
            answer = answers.get(run.run)
            if answer is None or isinstance(answer, Hung):
                self._fail(run, _hung(run), position, out)
                continue
            if isinstance(answer, BaseException):
                self._fail(run, _raised(run, answer), position, out)
                continue
            self.decisions += len(shown.views)
            if run.decides:
                headroom = shared.headroom(run, shown.end)
                placed = run.place(shown, answer, position.seq, headroom, out.rows)
                shared.took(run, placed, shown.end)
            run.note_shown(shown.values)
            end = shown.ends.get(int(run.told.interval))
            if end is not None and (run.decides or run.holds):
                equity.append(run.equity_row(position.closed_until, end, position.seq))
            if run.faulty:
                self._fail(run, "the ledger cannot count what was decided", position, out)

    def _note_revisions(self, event: Closed, out: Out) -> None:
        """Corrections of bars that runs have seen: they change nothing, and are told."""
        for place in np.flatnonzero(event.rows["revision"] > 1).tolist():
            bar = event.rows[place]
            symbol = str(event.names[int(bar["stream"])].symbol)
            interval, start = int(bar["interval"]), int(bar["start"])
            for run in self.runs.values():
                old = run.seen_before(symbol, interval, start) if (symbol, interval) in run.series else None
                if old is None:
                    continue
                new = [float(bar[name]) for name in ("open", "high", "low", "close", "volume")]
                out.rows.setdefault("revisions", []).append(
                    {
                        "run": run.run,
                        "number": run.count("revisions"),
                        "time": int(bar["updated_at"]),
                        "log_seq": int(event.log_seqs[place]),
                        "revision": int(bar["revision"]),
                        "symbol": symbol,
                        "interval": rows.interval_name(interval),
                        "start": start,
                        "old": list(old),
                        "new": new,
                    }
                )

    # Controls

    def refusal(self, control: Control) -> str:
        """Why a control cannot take effect, as a sentence; empty if it can."""
        if control.action in {"grace", "limits"}:
            return ""
        run = self.runs.get(control.run)
        if control.action == "start":
            return f"paper run {control.run} was started before" if run is not None else ""
        if run is None and control.action == "forget":
            # It failed at its start, and only the book knows of it.
            return ""
        if run is None:
            return f"paper run {control.run} is none of this desk's: `pq paper status` lists them"
        state = run.state
        if control.action == "stop" and state != RUNNING:
            return f"paper run {control.run} is {state}: only one that runs can be stopped"
        if control.action == "flatten" and state in {FLATTENING, KILLED}:
            return f"paper run {control.run} is {state} already"
        if control.action == "revive" and run.kept.broken:
            return f"paper run {control.run} failed, and its strategy's state is lost: start a new one"
        if control.action == "revive" and state == RUNNING:
            return f"paper run {control.run} is running already"
        if control.action == "forget" and state in {RUNNING, FLATTENING}:
            return f"paper run {control.run} is {state}: stop it first"
        if control.action in {"split", "dividend"} and control.body.get("symbol") not in run.symbols:
            return f"paper run {control.run} does not trade {control.body.get('symbol')}"
        return ""

    def _told(self, event: Told, out: Out) -> None:
        control, position = event.control, event.position
        if control.action == "limits":
            self.overall = self.overall.limited(control.body)
        elif control.action == "start":
            self._start(event, out)
        elif control.action != "grace":
            self._change(control, position, out)

    def _start(self, event: Told, out: Out) -> None:
        control, begin, position = event.control, event.begin, event.position
        if begin is None or control.run in self.runs:
            return
        plan = begin.run.plan
        row = {
            "run": control.run,
            "number": control.number,
            "strategy": plan.strategy,
            "source_hash": plan.source_hash,
            "source": control.body["source"],
            "ours": control.body["ours"],
            "parameters": plan.parameters,
            "symbols": list(plan.symbols),
            "interval": plan.interval,
            "plan": control.body["plan"],
            "asked_at": control.asked_at,
            "started_seq": control.applied_seq,
            "started_at": position.clock,
            "state": RUNNING,
            "why": "",
            "cash": plan.cash,
            "currency": plan.currency,
            "streams": dict(begin.streams),
            "closed_until": position.closed_until,
            "warm_up": len(begin.warm_up),
        }
        out.warm_ups[control.run] = packed(begin.warm_up)
        made, why = self._begun(control, begin)
        if made is None:
            row |= {"state": FAILED, "why": why, "ended_seq": position.seq, "ended_at": position.clock}
            out.rows.setdefault("runs", []).append(row)
            out.notes.append(("paper_failed", f"paper run {control.run} failed at its start: {why}"))
            return
        self.runs[control.run] = made
        self._groups = None
        self.overall.began(made)
        row["mode"], row["why_plain"] = made.mode
        out.rows.setdefault("runs", []).append(row | made.figures())
        self._event(made, out, "info", "started", f"{plan.strategy} on {', '.join(plan.symbols)} {plan.interval}")

    def _begun(self, control: Control, begin: Begin) -> tuple[Run | None, str]:
        """A run that has been shown the bars before its first; or why there is none."""
        try:
            # Not in the thread that is waited for: it may have to compile.
            run = Run.start(control, begin, self._loops, self._stepper())
        except DeskError as error:
            return None, str(error)
        answer = self._thinker.think([_call(run, begin.warm_up)])[0]
        if isinstance(answer, Hung):
            return None, _hung(run)
        if isinstance(answer, BaseException):
            return None, _raised(run, answer)
        run.remember(begin.warm_up.tolist())
        return run, ""

    def _change(self, control: Control, position: Position, out: Out) -> None:
        if control.action == "forget":
            self.runs.pop(control.run, None)
            self._groups = None
            self.overall.ended(control.run)
            out.forgotten.append(control.run)
            return
        run = self.runs[control.run]
        if control.action in {"stop", "flatten"}:
            run.kill(control.action == "flatten", self.clock, position.seq, out.rows, position.log_seq)
            text = "no more orders" if run.state != FLATTENING else "no more orders, and everything is closed"
            text += f"; it had failed before: {run.kept.broken}" if run.kept.broken else ""
            self._say(run, out, run.state, text, ended_seq=position.seq)
        elif control.action == "revive":
            run.revive()
            self._say(run, out, RUNNING, "revived", ended_seq=None)
        else:
            run.act(control.action, control.body, position.seq, out.rows, position.log_seq)
            self._event(run, out, "info", control.action, f"{control.body['symbol']} {control.body['value']:g}")

    def _apply_daily_loss(self, position: Position, out: Out) -> None:
        """The kill switch for all, where they have lost together what they may in a day."""
        loss = self.overall.new_moment(self.clock, self.runs.values())
        if loss is None:
            return
        for run in self.runs.values():
            if run.state == RUNNING:
                run.kill(self.overall.flatten, self.clock, position.seq, out.rows, position.log_seq)
                text = f"all runs together have lost {loss:,.2f} today, and may lose {self.overall.max_daily_loss:,.2f}"
                self._say(run, out, run.state, text, ended_seq=position.seq, name="desk_daily_loss", level="error")

    # What is told

    def _fail(self, run: Run, why: str, position: Position, out: Out) -> None:
        run.fail(why, self.clock, position.seq, out.rows, position.log_seq)
        self._say(run, out, FAILED, why, ended_seq=position.seq, level="error")

    def _say(
        self, run: Run, out: Out, state: str, text: str, *, ended_seq: int | None, name: str = "", level: str = "info"
    ) -> None:
        ended = None if ended_seq is None else self.clock
        why = "" if ended_seq is None else text
        columns = {"state": run.state, "why": why, "ended_seq": ended_seq, "ended_at": ended}
        out.rows.setdefault("runs", []).append(run.row(**columns))
        self._event(run, out, level, name or state, text)

    def _event(self, run: Run, out: Out, level: str, name: str, text: str) -> None:
        out.rows.setdefault("events", []).append(
            {
                "run": run.run,
                "number": run.count("events"),
                "time": self.clock,
                "seq": out.position.seq,
                "level": level,
                "name": name,
                "text": text,
            }
        )
        out.notes.append((f"paper_{name}", f"paper run {run.run} ({run.told.plan.strategy}): {text}"))

    def _rest(self, event: Rest, out: Out) -> None:
        """Write down how all is: states to go on from, and figures of the runs that have changed."""
        for run in self.runs.values():
            stands = (run.equity, run.state, run.kept.last_bar, *run.kept.counts.values())
            if self._marked.get(run.run) != stands:
                self._marked[run.run] = stands
                figures = run.figures() | {"marked_at": self.clock, "last_seq": event.position.seq}
                out.figures.append(figures)
        if event.tail:
            out.states.update(self.states(event.tail))

    def _stepper(self) -> Step:
        if self._step is None:
            self._step = Step()
        return self._step


def read_state(state: bytes) -> Kept:
    """The desk's part of a state.

    Raises:
        DeskError: It is of another version.
    """
    try:
        kept = msgspec.msgpack.decode(state, type=Kept)
    except msgspec.DecodeError as error:
        msg = f"the state of paper trading cannot be read ({error}): it was saved by another version of PocketQuant"
        raise DeskError(msg) from error
    if kept.version != VERSION:
        msg = (
            f"the state of paper trading has layout {kept.version}, and this PocketQuant knows {VERSION}: go on with "
            "the version that saved it"
        )
        raise DeskError(msg)
    return kept


def _call(run: Run, views: Records) -> Callable[[], Any]:
    return lambda: run.decide(views)


def _hung(run: Run) -> str:
    name = run.told.strategy.name
    return f"strategy {name} has not come back: look for a loop in decide() that has no end"


def _raised(run: Run, error: BaseException) -> str:
    if isinstance(error, DeskError):
        return str(error)
    return f"strategy {run.told.strategy.name}: {type(error).__name__}: {error}"
