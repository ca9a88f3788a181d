"""The book's one writer: what events came to, in order, each once.

What was written before a crash comes again after it. An event whose place is not beyond the one that the book stands at
is passed over, so nothing that has been told is told again, and no order that has filled works anew for a moment.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from dataflows.paper.events import Out
from dataflows.paper.progress import Progress
from market.errors import DeskError
from sinks.paper_book import PaperBook, Position, Written

VERSION: Final = 1
DAY_NS: Final = 86_400_000_000_000

Snapshot = tuple[int, tuple[int, int, int, int]]
"""(version, the place that the book stood at)."""


class Writer:
    """Writes one batch at a time."""

    def __init__(
        self,
        book: PaperBook,
        *,
        patience: Callable[[Callable[[], Any]], Any],
        progress: Progress,
        told: Callable[[str, str], object],
        consumed: Callable[[], object],
        keep_ns: int,
        resume_state: Snapshot | None = None,
    ) -> None:
        """Go on.

        Args:
            book: Of paper trading.
            patience: Calls it until it answers.
            progress: Written to.
            told: Called with the kind of what a user may want to hear of, and a sentence.
            consumed: Called at each snapshot.
            keep_ns: How long decisions and the like are kept; 0 for ever.
            resume_state: What `snapshot` gave.

        Raises:
            DeskError: The book lacks what the recovery store takes it to have.
        """
        self._book = book
        self._patience = patience
        self._progress = progress
        self._told = told
        self._consumed = consumed
        self._keep_ns = keep_ns
        self._pruned = 0
        self.position: Position = patience(book.position)
        if resume_state is not None:
            version, stood = resume_state
            if version != VERSION:
                msg = (
                    f"recovery state of paper trading's output has version {version}, this program knows {VERSION}; "
                    "move the recovery folder away and start again: it then goes on from the book"
                )
                raise DeskError(msg)
            if self.position[:4] < tuple(stood):
                msg = (
                    f"paper book {book.where} stands at journal row {self.position.seq}, but stood at row {stood[0]} "
                    "when the desk last ran: it was replaced or restored; put that book back, or move the recovery "
                    "folder of paper trading away and start again: it then goes on from the book"
                )
                raise DeskError(msg)

    def write(self, outs: Sequence[Out]) -> None:
        """Write what events came to, as one act.

        Raises:
            StoreAway: The process is to end while the book is away.
            DeskError: The book has trouble that waiting does not end.
        """
        rows: dict[str, list[dict[str, Any]]] = {}
        states: dict[str, bytes] = {}
        warm_ups: dict[str, bytes] = {}
        notes: list[tuple[str, str]] = []
        forgotten: list[str] = []
        fresh = [out for out in outs if out.position.beyond(self.position)]
        for out in fresh:
            for kind, more in out.rows.items():
                rows.setdefault(kind, []).extend(more)
            states.update(out.states)
            warm_ups.update(out.warm_ups)
            notes += out.notes
            for run in out.forgotten:
                forgotten.append(run)
                rows = {kind: [row for row in held if row["run"] != run] for kind, held in rows.items()}
                states.pop(run, None)
                warm_ups.pop(run, None)
        # How runs stand is no news and moves nothing on: of two writings either may come last.
        now = [row for out in outs if out.position[:4] >= self.position[:4] for row in out.figures]
        now = [row for row in now if row["run"] not in forgotten]
        if rows or states or warm_ups or forgotten:
            self._write_news(fresh[-1].position, Written(rows, states, None, warm_ups), forgotten)
            for name, text in notes:
                self._told(name, text)
            for trade in rows.get("trades", ()):
                self._told("paper_trade", _trade(trade))
        if now:
            self._patience(partial(self._book.write, Written({"runs": now})))
            self._progress.equities = {**self._progress.equities, **{row["run"]: row["equity"] for row in now}}

    def _write_news(self, position: Position, news: Written, forgotten: Sequence[str]) -> None:
        for run in forgotten:
            self._patience(partial(self._book.forget, run))
        self._patience(partial(self._book.write, news._replace(position=position)))
        self.position = position
        progress = self._progress
        progress.writes += 1
        for kind, tally in progress.tally.items():
            # An order's later states are rows of it as well.
            fresh = [row for row in news.rows.get(kind, ()) if kind != "orders" or "log_seq" in row]
            tally.update(progress.strategies.get(row["run"], "") for row in fresh)
        progress.orders, progress.fills = progress.tally["orders"].total(), progress.tally["fills"].total()

    def snapshot(self) -> Snapshot:
        """Where the book stands."""
        self._consumed()
        self._prune()
        return VERSION, self.position[:4]

    def _prune(self) -> None:
        """Let old decisions go, once a day by the journal's clock."""
        day = self.position.clock // DAY_NS
        if self._keep_ns and day != self._pruned:
            self._pruned = day
            self._patience(lambda: self._book.prune(self.position.clock - self._keep_ns))


def _trade(row: dict[str, Any]) -> str:
    return (
        f"paper run {row['run']}: {row['side']} {row['size']:g} {row['symbol']} {row['entry_price']!r} to "
        f"{row['exit_price']!r}, {row['pnl']:+,.2f} ({row['exit_reason']})"
    )
