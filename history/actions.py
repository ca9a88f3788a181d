"""Corporate actions into their book: from providers, and from a user's file."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from history.order import ordered
from history.roster import Listed, roster
from history.small_files import read_text
from market.actions import Action, ActionError, ActionKind
from market.errors import DeskError
from market.spelling import read_symbol
from market.symbols import Symbol, SymbolError
from sinks.actions_book import FILE_SOURCE, ActionsBook, Noted
from sources.history.actions import ACTIONS_PROVIDERS
from sources.history.provider import Means, ProviderError

if TYPE_CHECKING:
    from history.desk import HistoryDesk

FIRST_DAY: Final = dt.date(1990, 1, 1)
"""Where our calendars begin."""
AHEAD: Final = dt.timedelta(days=366)
"""What is declared for the coming year is fetched too, and takes effect on its day."""
FILE_BYTES_MAX: Final = 64 << 20


class Told(NamedTuple):
    """What became of one symbol's fetch."""

    symbol: Symbol
    provider: str
    """Who told; empty if nobody did."""
    noted: Noted
    error: str
    """Why nobody did, as a sentence; empty if somebody did."""


def fetch(
    desk: "HistoryDesk",
    symbols: Sequence[Symbol],
    provider: str | None = None,
    *,
    start: dt.date = FIRST_DAY,
    tell: Callable[[Told], None] = lambda _: None,
) -> list[Told]:
    """Ask providers for the splits and dividends of shares, and write them into the book.

    Args:
        desk: Whose book.
        symbols: Shares. One that fails does not stop the others.
        provider: Only this one; else those that have actions and a key, in turn, until one tells.
        start: Ex-dates from this day on.
        tell: Called after each symbol.
    """
    found = []
    end = dt.datetime.fromtimestamp(desk.now_ns() / 1e9, dt.UTC).date() + AHEAD
    with ActionsBook(desk.folders.history) as book:
        for symbol in symbols:
            try:
                name, actions = _told(desk, symbol, start, end, provider)
            except DeskError as error:
                told = Told(symbol, "", Noted(0, 0, 0), str(error))
            else:
                told = Told(symbol, name, book.note(actions, desk.now_ns(), asked={symbol: name}), "")
            found.append(told)
            tell(told)
    return found


def _told(
    desk: "HistoryDesk", symbol: Symbol, start: dt.date, end: dt.date, provider: str | None
) -> tuple[str, list[Action]]:
    """The actions of one symbol, from the first provider in order that tells them."""
    lender = roster(desk)
    if provider is not None and provider not in ACTIONS_PROVIDERS:
        msg = f"provider {provider!r} has no corporate actions; those that have are {' '.join(ACTIONS_PROVIDERS)}"
        raise DeskError(msg)
    names = [provider] if provider else [name for name in ordered(desk, symbol) if name in ACTIONS_PROVIDERS]
    said = []
    for name in names:
        one = Listed(name, desk)
        if one.missing:
            said.append(f"{name}: {one.missing}")
            continue
        door = lender.quota.door(name, one.terms, lambda _: None)
        asked = one.make_actions(Means(desk.now_ns, desk.sleep, door, door.spent))
        try:
            return name, list(asked.actions(symbol, start, end))
        except ProviderError as error:
            said.append(f"{name}: {error}")
        finally:
            asked.close()
    msg = f"splits and dividends of {symbol}: " + ("; ".join(said) or "no provider has any of its class")
    raise DeskError(msg)


def shares(desk: "HistoryDesk") -> list[Symbol]:
    """Registered symbols that are stocks, by name."""
    from history.registry import asset_class, registered
    from sinks.registry_book import RegistryBook

    with RegistryBook(desk.folders.history) as book:
        held = {one.symbol: one for one in book.instruments()}
    return [symbol for symbol in registered(desk) if asset_class(symbol, held.get(symbol)) == "stock"]


def import_file(desk: "HistoryDesk", path: Path, symbol: Symbol | None = None) -> Noted:
    """Write the actions of a CSV file into the book, all or none; they stand above what providers say.

    Raises:
        DeskError: See `read_file`.
    """
    actions = read_file(path, symbol)
    with ActionsBook(desk.folders.history) as book:
        return book.note(actions, desk.now_ns(), asked={one.symbol: FILE_SOURCE for one in actions})


def read_file(path: Path, symbol: Symbol | None = None) -> list[Action]:
    """Actions of a CSV file with the header `symbol,date,kind,value,currency`, in any case and order.

    `symbol` may be left out where `symbol` is given here, `currency` everywhere. `value` is the ratio of a split (4, or
    `4:1`, or `1:10` for a reverse one) or the cash of a dividend a share, as it was paid.

    Raises:
        DeskError: The file cannot be read, a row breaks a rule (it is named with its line), or an action comes twice.
    """
    text = read_text(path, FILE_BYTES_MAX, "a list of corporate actions")
    rows = csv.DictReader(io.StringIO(text))
    names = [name.strip().lower() for name in rows.fieldnames or []]
    missing = [name for name in ("date", "kind", "value", *(() if symbol else ("symbol",))) if name not in names]
    if missing:
        msg = f"{path} lacks the column {missing[0]}; its columns should be symbol,date,kind,value,currency"
        raise DeskError(msg)
    rows.fieldnames = names
    found: dict[tuple[Symbol, dt.date, ActionKind], Action] = {}
    for row in rows:
        where = f"{path} line {rows.line_num}"
        action = _row({name: (cell or "").strip() for name, cell in row.items() if name}, symbol, where)
        key = (action.symbol, action.date, action.kind)
        if key in found:
            msg = f"{where}: the {action.kind} of {action.symbol} on {action.date} is in the file twice; keep one"
            raise DeskError(msg)
        found[key] = action
    if not found:
        msg = f"{path} holds no corporate action below its header"
        raise DeskError(msg)
    return sorted(found.values())


def _row(cells: dict[str, str], given: Symbol | None, where: str) -> Action:
    try:
        symbol = read_symbol(cells["symbol"]) if cells.get("symbol") else given
        if symbol is None:
            msg = f"{where}: no symbol"
            raise DeskError(msg)
        day = dt.date.fromisoformat(cells["date"])
        kind = ActionKind(cells["kind"].lower())
        return Action(symbol, day, kind, _value(cells["value"], kind), cells.get("currency", "").upper(), FILE_SOURCE)
    except SymbolError as error:
        msg = f"{where}: {error}"
        raise DeskError(msg) from error
    except ActionError as error:
        msg = f"{where}: {error}"
        raise DeskError(msg) from error
    except ValueError as error:
        msg = (
            f"{where}: date {cells.get('date')!r}, kind {cells.get('kind')!r}, value {cells.get('value')!r} should be "
            "such as 2020-08-31,split,4 or 2012-08-09,dividend,2.65"
        )
        raise DeskError(msg) from error


def _value(text: str, kind: ActionKind) -> float:
    if kind is ActionKind.SPLIT and ":" in text:
        after, before = text.split(":")
        return float(after) / float(before) if float(before) else float("inf")
    return float(text)
