"""The proof that paper trading and the backtest agree: a run is made once more, and compared line by line.

What comes of it is written down as a certificate, with the state that the rerun ended in, and the next one goes on from
there: so a chain of them reaches from a run's start to now. One that found a difference is no link of it: the next
begins again at the last that was equal, and the difference stays named until it is explained.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from backtest.certificates import DIFFERENT, EQUAL, Certificate, Difference
from backtest.logged_bars import Log
from backtest.paper_compare import COMPARED, compared
from backtest.paper_rerun import FAILED, Ask, EndState, Rerun, begin_of, closed, opened, rerun
from backtest.paper_start import Started, started
from backtest.patience import PATIENCE_S, Beat, patiently
from backtest.tick_order import Graces, Rows, standing
from market.bars import BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS
from sinks.paper_book import Control, PaperBook, Position, Row, Written
from trading.headroom import Headroom

REVISED_MOST: Final = 200
"""Revised bars that a certificate names."""
HUNG: Final = "has not come back"
"""How it reads that a strategy hung."""
DAILY_LOSS: Final = "desk_daily_loss"
"""The event of a run that the loss of all runs stopped; that of one whose strategy went wrong is named by its state."""
_OF_ACCOUNTS: Final = frozenset({"stop", "flatten", "revive", "split", "dividend"})


class Proof(NamedTuple):
    """A certificate, and what the next one goes on from."""

    certificate: Certificate
    end_state: bytes

    def row(self) -> Row:
        """As the book keeps it."""
        one = self.certificate
        first = None if one.first is None else one.first._asdict()
        return {**one._asdict(), "first": first, "counts": dict(one.counts), "end_state": self.end_state}


class Outcome(NamedTuple):
    """What came of proving one run."""

    run: str
    strategy: str
    certificate: Certificate | None
    trouble: str
    """Why it could not be proven, as a sentence; empty if it could."""


def certify(
    book: PaperBook,
    runs: Sequence[Row],
    rows: Rows,
    log: Log,
    loops: Path,
    now_ns: int,
    *,
    whole: bool = False,
    tell: Callable[[str, float], None] = lambda _step, _share: None,
) -> Iterator[Outcome]:
    """Prove runs one after the other, and write their certificates into the book.

    Args:
        book: The paper book.
        runs: As the book has them.
        rows: The journal, and the archive before it.
        log: The bar store.
        loops: Folder of compiled loops.
        now_ns: When this is.
        whole: From their starts, whatever certificates there are.
        tell: Told how far it is.
    """
    for place, row in enumerate(runs):
        tell("parity", place / len(runs))
        run, strategy = str(row["run"]), str(row["strategy"])
        try:
            proof = prove(book, run, rows, log, loops, now_ns, whole=whole)
            book.write(Written({"certificates": [proof.row()]}))
        except DeskError as error:
            yield Outcome(run, strategy, None, str(error))
        else:
            yield Outcome(run, strategy, proof.certificate, "")
    tell("parity", 1.0)


def prove(
    book: PaperBook,
    run: str,
    rows: Rows,
    log: Log,
    loops: Path,
    now_ns: int,
    *,
    whole: bool = False,
    patience_s: float = PATIENCE_S,
) -> Proof:
    """Make a paper run once more, and compare. The desk may go on meanwhile.

    Args:
        book: The paper book.
        run: Its id.
        rows: The journal, and the archive before it.
        log: The bar store.
        loops: Folder of compiled loops.
        now_ns: When this is.
        whole: From its start, whatever certificates there are.
        patience_s: How long its strategy may take over the bars of a stretch of ticks.

    Raises:
        DeskError: It cannot be made once more: there is no such run, rows of the journal are gone, or its strategy does
            not come back.
    """
    position = book.position()
    row = next((one for one in book.run(run) if one["run"] == run), None)
    if row is None:
        msg = f"paper run {run} is not in the book: `pq paper status` lists those that are"
        raise DeskError(msg)
    told = started(row)
    done = _effective(book.controls(), position, run)
    graces = _graces(done, position)
    earlier = book.rows("certificates", run)
    begin = _begin(row, earlier, rows, graces, whole=whole)
    after = begin.standing[0]
    upto = max(_upto(rows, position, graces), after)
    paper = {kind: book.rows(kind, run) for kind in COMPARED}
    events = book.rows("events", run)
    wrong = _went_wrong(row, events, upto)
    ask = Ask(
        upto,
        [one for one in done if one.action in _OF_ACCOUNTS],
        graces,
        {int(one["seq"]): Headroom.read(one["headroom"]) for one in reversed(paper["decisions"]) if one["headroom"]},
        {int(one["seq"]): _closes(done, int(one["seq"])) for one in events if one["name"] == DAILY_LOSS},
        0 if wrong is None or HUNG not in wrong[1] else wrong[0],
    )

    def again(beat: Beat) -> Rerun:
        beat.where = f"the strategy of paper run {run}"
        return rerun(told, begin, book.warm_up(run), rows, log, ask, loops, beat)

    made = patiently(again, patience_s, "its source was saved with the run; look there for a loop that has no end")
    still = upto == position.seq and not book.position().beyond(position)
    counts, first = compared(told, made, paper, after, upto, still=still)
    ending = _ending(row, wrong, made)
    if ending is not None and (first is None or ending.seq < first.seq):
        first = ending
    number = 1 + (int(earlier[-1]["number"]) if earlier else 0)
    day = datetime.fromtimestamp(max(made.end.standing[1], 0) // 10**9, UTC).strftime("%Y-%m-%d")
    result = EQUAL if first is None else DIFFERENT
    revised = _revised(told, made)
    return Proof(Certificate(run, number, after, upto, day, result, first, counts, revised, now_ns), closed(made.end))


def _begin(row: Row, earlier: Sequence[Row], rows: Rows, graces: Graces, *, whole: bool) -> EndState:
    """Where to begin: at the end of the last certificate that was equal, else at the start.

    A whole run whose beginning is not held any more begins at the end of the first one behind that.
    """
    equal = [one for one in earlier if one["result"] == EQUAL]
    if whole:
        pruned = int(row["pruned_seq"] or 0)
        equal = [one for one in equal if int(one["to_seq"]) >= pruned][:1] if pruned else []
    return opened(equal[-1]["end_state"]) if equal else begin_of(row, rows, graces)


def _effective(controls: Sequence[Control], position: Position, run: str) -> list[Control]:
    """Controls of a run and of the whole desk that have taken effect by a position, in their order."""
    last = next((one for one in controls if one.number == position.control), None)
    here = position.control if last is not None and last.applied_seq == position.seq else 0
    found = [
        one
        for one in controls
        if one.run in {run, ""}
        and one.applied_seq is not None
        and not one.refused
        and (one.applied_seq < position.seq or (one.applied_seq == position.seq and one.number <= here))
    ]
    return sorted(found, key=lambda one: (one.applied_seq or 0, one.number))


def _graces(controls: Sequence[Control], position: Position) -> Graces:
    """How long after its end a minute closed, as it was changed."""
    changes = [one for one in controls if one.action == "grace"]
    if not changes:
        return Graces.of(position.grace_ns)
    first = int(changes[0].body.get("before_ns", changes[0].body["grace_ns"]))
    return Graces.of(first, [(one.applied_seq or 0, int(one.body["grace_ns"])) for one in changes])


def _closes(controls: Sequence[Control], seq: int) -> bool:
    """Whether a loss of all runs also closed what they held, by the limits in force at a boundary."""
    limits = [one for one in controls if one.action == "limits" and (one.applied_seq or 0) < seq]
    return bool(limits and limits[-1].body.get("flatten"))


def _upto(rows: Rows, position: Position, graces: Graces) -> int:
    """The last row all of which is in the book: where bars are still waited for, the one before."""
    now = standing(rows, position.seq, graces)
    waits = now.boundary == position.seq and now.minute * MINUTE_NS > position.closed_until
    return position.seq - 1 if waits else position.seq


def _went_wrong(row: Row, events: Sequence[Row], upto: int) -> tuple[int, str] | None:
    """Row at which a run went wrong on paper by then, and why; what users did to it afterwards changes nothing."""
    found = [(int(one["seq"]), str(one["text"])) for one in events if one["name"] == FAILED]
    if row["state"] == FAILED:
        found.append((int(row["ended_seq"] or 0), str(row["why"])))
    return min((one for one in found if one[0] <= upto), default=None)


def _ending(row: Row, wrong: tuple[int, str] | None, made: Rerun) -> Difference | None:
    """Whether one of the two went wrong and the other did not."""
    if (wrong is None) == (made.end.state != FAILED):
        return None
    seq, why = (made.failed_seq, None) if wrong is None else wrong
    return Difference("runs", int(row["number"]), "why", why, made.failed or None, seq)


def _revised(told: Started, made: Rerun) -> list[Row]:
    """The bars that were revised after the run had seen them."""
    names = list(told.series)
    found = []
    for bar, place, series in zip(*made.revised, strict=True):
        symbol, interval = names[int(series)]
        found.append(
            {
                "symbol": str(symbol),
                "interval": str(interval),
                "start": int(bar["start"]),
                "revision": int(bar["revision"]),
                "state": str(BarState(int(bar["state"]))),
                "close": float(bar["close"]),
                "log_seq": int(place),
            }
        )
        if len(found) == REVISED_MOST:
            break
    return found
