"""Splits and dividends of what runs trade: controls, asked for shortly before the session that begins without them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from market.actions import Action, ActionKind
from market.adjustment import ex_time
from market.errors import DeskError
from market.sessions import ROUND_THE_CLOCK, ROUND_THE_WEEK, calendar_for
from market.symbols import parse_symbol
from sinks.actions_book import ActionsBook
from sinks.bar_store import StoreAway
from sinks.paper_book import PaperBook

LEAD_NS: Final = 300 * 10**9
"""So long before the open: after the last close of every exchange with sessions, and before the first tick."""
LATE_NS: Final = 3_600 * 10**9
"""What becomes known so long after the open is not done any more: positions of after it would be changed, too."""
LOOK_NS: Final = 60 * 10**9
"""How often it is looked whether others are known, by the journal's clock."""

Key = tuple[str, str, str, str]
"""Run, kind, symbol and ex-date: each is asked for once."""


class Holding(NamedTuple):
    """A run, as far as it concerns this."""

    run: str
    symbols: tuple[str, ...]
    asked_at: int
    """ns; what counted before is none of its business."""
    currency: str
    """Of its account."""


class Due(NamedTuple):
    """An action that a run is to be told of."""

    run: str
    action: Action
    time: int
    """The open of the first session without what was paid or split, ns."""


class Acting:
    """Asks for the splits and dividends of the runs' symbols; for one thread."""

    def __init__(
        self,
        history: Path,
        book: PaperBook,
        runs: Callable[[], Iterable[Holding]],
        report: Callable[[str, str], object],
    ) -> None:
        """Begin.

        Args:
            history: File of the book of actions, which need not be there.
            book: Where to ask.
            runs: Those that there are now.
            report: Told a name and a sentence of what is left undone.
        """
        self._history = history
        self._book = book
        self._runs = runs
        self._report = report
        self._actions: ActionsBook | None = None
        self._known: Mapping[str, list[tuple[int, Action]]] = {}
        self._asked: set[Key] | None = None
        self._left: set[Key] = set()
        self._unread = ""
        self.look_at = 0
        """The clock, ns, before which `look` has nothing to do."""

    def look(self, clock: int, now_ns: int) -> int:
        """Ask for what is due; how many that were. To be called as the clock moves on past `look_at`.

        What is due between the clock and now, of a desk that was down, is asked for as of its own moment, and takes
        effect there.

        Args:
            clock: Up to where the journal was gone over, ns.
            now_ns: The present moment.

        Raises:
            StoreAway: Of the paper book; to be called again.
            DeskError: The paper book cannot be read or written. Trouble of the other book is reported.
        """
        runs = list(self._runs())
        try:
            found = self._ask(runs, clock, max(clock, now_ns)) if runs and self._refreshed(runs) else 0
        except StoreAway:
            # What was asked may stand in the book or not.
            self._asked = None
            raise
        self.look_at = clock + LOOK_NS
        return found

    def _ask(self, runs: list[Holding], clock: int, until: int) -> int:
        asked = 0
        for due in self._due(runs, until):
            key = (due.run, str(due.action.kind), str(due.action.symbol), due.action.date.isoformat())
            if key in self._all_asked() or key in self._left:
                continue
            if clock > due.time + LATE_NS:
                self._leave(key, due, "it became known only after that session's open")
            else:
                self._book.ask(
                    due.run, _control(due.action), body_of(due.action, due.time), max(clock, due.time - LEAD_NS)
                )
                self._all_asked().add(key)
                asked += 1
        return asked

    def close(self) -> None:
        """Let go of the book of actions."""
        if self._actions is not None:
            self._actions.close()
            self._actions = None

    def _refreshed(self, runs: list[Holding]) -> bool:
        """Read the actions of symbols that have sessions, if there may be others by now; whether there are any."""
        wanted = {symbol for run in runs for symbol in run.symbols}
        try:
            if self._actions is None:
                if not self._history.is_file():
                    return False
                self._actions = ActionsBook(self._history)
            elif not self._actions.changed() and wanted <= self._known.keys():
                return any(self._known.values())
            self._known = {symbol: list(_timed(self._actions, symbol)) for symbol in wanted}
        except DeskError as error:
            if str(error) != self._unread:
                self._unread = str(error)
                self._report("paper_actions_unread", f"splits and dividends cannot be read: {error}")
        return any(self._known.values())

    def _due(self, runs: list[Holding], until: int) -> Iterator[Due]:
        for run in runs:
            for symbol in run.symbols:
                for time, action in self._known.get(symbol, ()):
                    if run.asked_at < time <= until + LEAD_NS:
                        if action.kind is ActionKind.DIVIDEND and action.currency not in {"", run.currency}:
                            key = (run.run, str(action.kind), symbol, action.date.isoformat())
                            self._leave(key, Due(run.run, action, time), f"the account is in {run.currency}")
                        else:
                            yield Due(run.run, action, time)

    def _all_asked(self) -> set[Key]:
        if self._asked is None:
            self._asked = {
                (one.run, one.action, str(one.body.get("symbol")), str(one.body.get("date")))
                for one in self._book.controls()
                if one.action in {"split", "dividend"}
            }
        return self._asked

    def _leave(self, key: Key, due: Due, why: str) -> None:
        if key not in self._left:
            self._left.add(key)
            action = due.action
            self._report(
                "paper_action_left", f"paper run {due.run}: {action.kind} of {action.symbol} on {action.date}: {why}"
            )


def body_of(action: Action, time: int) -> dict[str, Any]:
    """What a run is told of a split or dividend that counts from a moment (ns) on."""
    return {"symbol": str(action.symbol), "value": action.value, "time": time, "date": action.date.isoformat()}


def _control(action: Action) -> Any:
    return "split" if action.kind is ActionKind.SPLIT else "dividend"


def _timed(actions: ActionsBook, symbol: str) -> Iterator[tuple[int, Action]]:
    """A symbol's actions with the moments from which they count; none of what has no sessions."""
    calendar = calendar_for(parse_symbol(symbol))
    if calendar.name in {ROUND_THE_CLOCK, ROUND_THE_WEEK}:
        return
    for action in actions.actions(parse_symbol(symbol)):
        try:
            yield ex_time(action, calendar), action
        except DeskError:
            # Beyond the calendar: it cannot come about while that is known.
            continue
