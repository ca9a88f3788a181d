"""The registry: which symbols the desk keeps, what is known of them, and lists of them from files."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from history.small_files import read_text
from market.errors import DeskError
from market.sessions import calendar_name
from market.spelling import read_symbol
from market.symbols import Symbol, SymbolError
from sinks.registry_book import ASSET_CLASSES, Instrument, RegistryBook

if TYPE_CHECKING:
    from history.desk import HistoryDesk

UNIVERSE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
FILE_BYTES_MAX: Final = 16 << 20
_CLASS_OF_CALENDAR: Final = {"24/7": "crypto", "24/5": "fx"}
_COLUMNS: Final = ("symbol", "exchange", "ticker", "name", "description", "asset_class", "tick_size")


def asset_class(symbol: Symbol, instrument: Instrument | None = None) -> str:
    """`crypto`, `stock`, `fx`, ...: what the registry says, else by the symbol's calendar.

    Raises:
        DeskError: Its exchange has no calendar.
    """
    if instrument is not None and instrument.asset_class:
        return instrument.asset_class
    return _CLASS_OF_CALENDAR.get(calendar_name(symbol), "stock")


def registered(desk: "HistoryDesk") -> list[Symbol]:
    """Symbols that the desk keeps: those in the registry, and those that are followed live; by name."""
    found = {one.symbol for one in desk.ledger.subscriptions()}
    with RegistryBook(desk.folders.history) as book:
        found |= {one.symbol for one in book.instruments()}
    return sorted(found)


def universe(desk: "HistoryDesk", name: str) -> list[Symbol]:
    """Symbols of a universe, by name.

    Raises:
        DeskError: There is no such universe.
    """
    with RegistryBook(desk.folders.history) as book:
        found = book.instruments(name)
        if not found:
            known = " ".join(other for other, _ in book.universes()) or "none"
            msg = f"no universe {name!r}; there are: {known}; `pq symbols import FILE --universe {name}` makes it"
            raise DeskError(msg)
    return [one.symbol for one in found]


def check(instrument: Instrument) -> Instrument:
    """The instrument itself.

    Raises:
        DeskError: Its exchange has no calendar, or a field breaks its rule.
    """
    calendar_name(instrument.symbol)
    if instrument.asset_class and instrument.asset_class not in ASSET_CLASSES:
        msg = f"asset class {instrument.asset_class!r} of {instrument.symbol} is none of {' '.join(ASSET_CLASSES)}"
        raise DeskError(msg)
    step = instrument.tick_size
    if step is not None and not 0 < step < float("inf"):
        msg = f"tick size {step:g} of {instrument.symbol} is not above zero; leave it out where it is not known"
        raise DeskError(msg)
    return instrument


class Found(NamedTuple):
    """A symbol that a search came upon."""

    symbol: Symbol
    name: str
    description: str
    asset_class: str
    where: str
    """`registered`, `followed`, `stored`, or the provider that was asked."""


def search(text: str, candidates: Sequence[Found]) -> list[Found]:
    """Candidates that match a text: the ticker itself first, then what begins with it, then what holds it anywhere.

    >>> found = Found(Symbol("NASDAQ", "AAPL"), "Apple Inc.", "", "stock", "registered")
    >>> search("apple", [found]) == [found]
    True
    """
    words = text.casefold().split()
    ranked = []
    for one in candidates:
        ticker, whole = one.symbol.ticker.casefold(), str(one.symbol).casefold()
        haystack = f"{whole} {one.name} {one.description}".casefold()
        if not all(word in haystack for word in words):
            continue
        wanted = words[0] if words else ""
        rank = 0 if wanted in {ticker, whole} else 1 if ticker.startswith(wanted) else 2
        ranked.append((rank, one.symbol, one))
    return [one for _, _, one in sorted(ranked, key=lambda item: item[:2])]


def read_universe(path: Path, now_ns: int) -> list[Instrument]:
    """Instruments of a CSV file.

    Its header names `symbol` (`EXCHANGE:TICKER`), or `exchange` and `ticker`, and, if known, `name`, `description`,
    `asset_class`, `tick_size`; in any case and order. A file without a header is a list of symbols.

    Raises:
        DeskError: The file cannot be read, a row breaks a rule (it is named with its line), or a symbol comes twice.
    """
    text = read_text(path, FILE_BYTES_MAX, "a list of symbols")
    rows = csv.reader(io.StringIO(text))
    header: list[str] | None = None
    found: dict[Symbol, Instrument] = {}
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        where = f"{path} line {rows.line_num}"
        if header is None:
            header = _header(cells, where)
            if header is not None:
                continue
            header = ["symbol"]
        instrument = _row(dict(zip(header, cells, strict=False)), where, now_ns)
        if instrument.symbol in found:
            msg = f"{where}: {instrument.symbol} is in the file twice; remove one"
            raise DeskError(msg)
        found[instrument.symbol] = instrument
    if not found:
        msg = f"{path} holds no symbol; it should have a column `symbol` such as NASDAQ:AAPL"
        raise DeskError(msg)
    return list(found.values())


def _header(cells: list[str], where: str) -> list[str] | None:
    """Names of the columns, None if the line is no header but the first symbol."""
    names = [cell.lower().replace(" ", "_") for cell in cells]
    if "symbol" not in names and "ticker" not in names:
        if ":" in cells[0]:
            return None
        msg = f"{where}: columns {', '.join(names)} hold no `symbol`; known are {', '.join(_COLUMNS)}"
        raise DeskError(msg)
    return names


def _row(cells: dict[str, str], where: str, now_ns: int) -> Instrument:
    ticker = cells.get("ticker") or cells.get("symbol", "")
    exchange = cells.get("exchange", "")
    text = ticker if ":" in ticker or not exchange else f"{exchange}:{ticker}"
    step = cells.get("tick_size", "")
    try:
        tick_size = float(step) if step else None
        symbol = read_symbol(text)
        instrument = Instrument(
            symbol, cells.get("name", ""), cells.get("description", ""), cells.get("asset_class", "").lower(),
            tick_size, added_at=now_ns,
        )  # fmt: skip
        return check(instrument)
    except SymbolError as error:
        msg = f"{where}: {error}"
        raise DeskError(msg) from error
    except ValueError as error:
        msg = f"{where}: tick_size {step!r} is no number"
        raise DeskError(msg) from error
    except DeskError as error:
        msg = f"{where}: {error}"
        raise DeskError(msg) from error
