"""The parity flow: each night, the proof that paper runs are what a backtest on the same ticks comes to."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flows import artifacts, pictures
from flows.journaled import journaled
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say, voice
from infra.kept_schedules import keep_in
from market.errors import DeskError

if TYPE_CHECKING:
    from backtest.certificates import Certificate
    from history.desk import HistoryDesk
    from sinks.paper_book import PaperBook, Row

TASKS: Final = 20
"""More tasks than these in a run would cost Prefect's server more than the reruns cost us."""
NIGHTS_SHOWN: Final = 26
BARS_SHOWN: Final = 40
COUNTED: Final = ("decisions", "orders", "fills", "trades", "equity")


@dataclass(frozen=True, slots=True)
class Proven:
    """One run, and what came of proving it."""

    run: str
    strategy: str
    on: str
    """Its symbols and interval."""
    certificate: "Certificate | None" = None
    trouble: str = ""
    """Why it could not be proven."""

    @property
    def verdict(self) -> str:
        """Equal, or what is wrong, as a sentence that begins with the run."""
        one = self.certificate
        if one is None:
            return f"{self.run} ({self.strategy}) is not proven: {self.trouble}"
        return "equal" if one.first is None else f"{self.run} ({self.strategy}) is different: {one.first}"


@part("{name}")
def prove_some(name: str, runs: Sequence[str], whole: bool) -> list[Proven]:
    """Make some runs once more, and write their certificates; one that cannot be proven never stops the rest."""
    from backtest.parity import certify

    shared = means()
    say(f"{name}: from the last certificates on, or from the start" if not whole else f"{name}: from the start")
    found = []
    with _book(shared.desk) as book, journaled(shared.desk) as held:
        wanted = {row["run"]: row for row in book.runs() if row["run"] in runs}
        now = shared.desk.now_ns()
        for outcome in certify(
            book, list(wanted.values()), held.rows, shared.desk.store, shared.desk.folders.loops, now, whole=whole
        ):
            one = Proven(outcome.run, outcome.strategy, _on(wanted[outcome.run]), outcome.certificate, outcome.trouble)
            voice()(f"{one.run} ({one.strategy}): {one.verdict}")
            found.append(one)
            if shared.stop.is_set():
                break
        for text in held.damage:
            say(f"skipped: {text}")
    return found


@desk_flow(
    "parity", lambda given: f"parity {given['run'] or 'of paper runs'}{' whole' if given['whole'] else ''}", at_once=1
)
def parity(run: str = "", whole: bool = False) -> str:
    """Paper runs made once more from the journal, and compared line by line: decisions, orders, fills, trades, equity.

    Each gets a certificate: equal, or the first difference by name, which fails the run, so that it is told of. The
    next night begins where the last certificate ended. Bars that were corrected after a run had seen them are listed;
    they change nothing that was decided.

    Args:
        run: Id of a paper run, the begin of it, or a strategy. Empty: every run that is not proven to its end.
        whole: From the start of each run, not from its last certificate.
    """
    with desk() as found:
        keep_in(found.folders.cache)
        with _book(found, read_only=True) as book:
            begun = book.runs()
            chosen = _named(begun, run.strip()) if run.strip() else [row for row in begun if whole or _due(book, row)]
        names = {row["run"]: f"{row['strategy']} {row['run']}" for row in chosen}
        futures = {name: prove_some.submit(name, some, whole) for name, some in _batches(names)}
        done, broken = gathered(futures)
        proven = [one for some in done.values() for one in some]
        if proven:
            with _book(found, read_only=True) as book:
                _show(proven, _nights(book, [row["run"] for row in begun]))
    check_parts(broken, len(futures))
    wrong = [one for one in proven if one.certificate is None or one.certificate.first is not None]
    if wrong:
        count = f"{len(wrong)} of {len(proven)} paper runs: " if len(proven) > 1 else ""
        raise DeskError(count + "; ".join(one.verdict for one in wrong[:3]) + "; ..." * (len(wrong) > 3))
    if not proven:
        return "every paper run is proven to its end" if begun else "no paper run has begun yet"
    return _sentence(proven)


@contextmanager
def _book(found: "HistoryDesk", *, read_only: bool = False) -> "Iterator[PaperBook]":
    from sinks.paper_book import open_paper_book

    with closing(open_paper_book(found.settings.store, found.folders.paper, read_only=read_only)) as book:
        yield book


def _named(runs: "Sequence[Row]", name: str) -> "list[Row]":
    """The runs that a user means.

    Raises:
        DeskError: There is none.
    """
    strategy = name.lower().replace("_", "-")
    found = [row for row in runs if row["strategy"] == strategy or row["run"].startswith(name.lower())]
    if not found:
        known = " ".join(dict.fromkeys(row["strategy"] for row in runs)) or "none"
        msg = f"no paper run {name!r}: there are runs of {known}, and `pq paper status` lists them"
        raise DeskError(msg)
    return found


def _due(book: "PaperBook", row: "Row") -> bool:
    """Whether there is anything of a run that no certificate has found equal."""
    from backtest.certificates import EQUAL

    last = book.rows("certificates", row["run"], limit=1, newest_first=True)
    if row["ended_seq"] is None or not last or last[0]["result"] != EQUAL:
        return True
    return bool(last[0]["to_seq"] < row["ended_seq"])


def _batches(names: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Runs as tasks, by name: one each, or several in one, since each task costs."""
    runs = list(names)
    size = max(1, -(-len(runs) // TASKS))
    return [
        (names[runs[first]] if size == 1 else f"{len(runs[first : first + size])} runs from {names[runs[first]]}",
         runs[first : first + size])
        for first in range(0, len(runs), size)
    ]  # fmt: skip


def _on(row: "Row") -> str:
    return f"{' '.join(row['symbols'] or ())} {row['interval']}"


def _sentence(proven: Sequence[Proven]) -> str:
    lines = sum(_lines(one.certificate) for one in proven if one.certificate is not None)
    runs = "1 paper run is" if len(proven) == 1 else f"{len(proven)} paper runs are"
    return f"{runs} equal to the rerun, in {lines:,} lines"


def _lines(one: "Certificate") -> int:
    return sum(one.counts.get(kind, 0) for kind in COUNTED)


def _nights(book: "PaperBook", runs: Sequence[str]) -> list[tuple[int, int, bool]]:
    """Of the last days with certificates: a moment, how many lines were compared, and whether all were equal."""
    from backtest.certificates import certificates

    lines, equal, moments = defaultdict[str, int](int), defaultdict[str, bool](lambda: True), dict[str, int]()
    for run in runs:
        for one in certificates(book, run):
            night = artifacts.moment(one.made_at)[:10]
            lines[night] += _lines(one)
            equal[night] &= one.first is None
            moments[night] = one.made_at
    return [(moments[night], lines[night], equal[night]) for night in sorted(moments)[-NIGHTS_SHOWN:]]


def _show(proven: Sequence[Proven], nights: Sequence[tuple[int, int, bool]]) -> None:
    wrong = [one for one in proven if one.verdict != "equal"]
    title = _sentence(proven) if not wrong else f"{len(wrong)} of {len(proven)} paper runs are not proven equal"
    head = ("run", "strategy", "on", "result", *COUNTED, "rows of the journal")
    parts = [f"**{title}**"]
    if nights:
        compared = [(moment, float(lines)) for moment, lines, _ in nights]
        figure = pictures.columns(compared, "lines compared", [not equal for _, _, equal in nights])
        parts.append(artifacts.picture(figure, "lines compared, by night; red: not equal"))
    parts.append(artifacts.table(head, [_cells(one) for one in sorted(proven, key=lambda one: one.verdict == "equal")]))
    if wrong:
        parts += ["### What is not equal", "\n".join(f"- {one.verdict}" for one in wrong)]
    bars = [
        (one.run, bar["symbol"], bar["interval"], artifacts.moment(bar["start"]), bar["revision"], bar["state"])
        for one in proven
        if one.certificate is not None
        for bar in one.certificate.revised
    ]
    if bars:
        columns = ("run", "symbol", "interval", "bar", "revision", "state now")
        more = f"\n\nand {len(bars) - BARS_SHOWN} more" if len(bars) > BARS_SHOWN else ""
        parts += ["### Bars corrected since", artifacts.table(columns, bars[:BARS_SHOWN]) + more]
    artifacts.publish("parity", "\n\n".join(parts), title)


def _cells(one: Proven) -> tuple[Any, ...]:
    found = one.certificate
    if found is None:
        return (one.run, one.strategy, one.on, "not proven", *("" for _ in COUNTED), "")
    counts = [found.counts.get(kind, 0) for kind in COUNTED]
    return (one.run, one.strategy, one.on, found.result, *counts, f"{found.from_seq} to {found.to_seq}")
