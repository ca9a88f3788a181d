"""What the forms of Prefect's UI are made of: types whose JSON schema it draws and checks at submit.

A choice is a `Literal` (a drop-down), a day a `date` (a picker), a symbol a text with a pattern. What a schema cannot
say, such as an end after its start, the core says at the run's start.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from market.intervals import Interval, parse_interval
from market.symbols import Symbol

IntervalName = Literal["1m", "3m", "5m", "15m", "30m", "45m", "1h", "2h", "3h", "4h", "1d", "1w", "1M"]
ProviderName = Literal[
    "simulated",
    "binance",
    "coinbase",
    "kraken",
    "okx",
    "alpaca",
    "massive",
    "tradier",
    "alpha_vantage",
    "tradingview",
    "yfinance",
]
SymbolText = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        # As market.symbols has it, in either case.
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,19}:[A-Za-z0-9][A-Za-z0-9._!&+/-]{0,39}$",
    ),
]
BarCount = Annotated[int, Field(ge=1, le=100_000)]
Day = Annotated[
    date,
    # That a text is to be a date the schema's `format` only says, and nobody checks at submit.
    Field(json_schema_extra={"pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"}),
]

NAMES_SHOWN: Final = 3
"""A run's name lists so many symbols and counts the rest."""


def interval_of(name: str) -> Interval:
    """The interval of a name from a form."""
    return parse_interval(name)


def symbols_of(texts: Iterable[str]) -> list[Symbol]:
    """The symbols of a form, each once, in the spelling that the desk uses.

    Raises:
        SymbolError: One has another form.
    """
    from market.spelling import read_symbol

    return list(dict.fromkeys(read_symbol(text) for text in texts))


def day_ns(day: date | None) -> int | None:
    """The first moment of a day, ns UTC.

    >>> day_ns(date(1970, 1, 2))
    86400000000000
    """
    return None if day is None else int(datetime.combine(day, time(), UTC).timestamp()) * 10**9


def whose(given: Mapping[str, Any]) -> str:
    """The symbols of a form, as a run's name has them.

    Args:
        given: The run's parameters as they were submitted.

    >>> whose({"symbols": ["A:B", "C:D", "E:F", "G:H", "I:J"]}), whose({"symbols": []}), whose({"universe": "dow"})
    ('A:B C:D E:F and 2 more', 'all symbols', 'dow')
    """
    texts, universe = given.get("symbols") or (), given.get("universe") or ""
    words = [text.strip().upper() for text in texts[:NAMES_SHOWN]]
    if len(texts) > NAMES_SHOWN:
        words.append(f"and {len(texts) - NAMES_SHOWN} more")
    return " ".join([*words, universe]).strip() or "all symbols"
