"""TradingView's search for symbols. Opt-in, unofficial.

Source: what its own pages send, seen by users. An answer is `{symbols: [...]}`, in older versions the list itself; a
symbol's name is its `prefix`, or the first word of its `exchange`, and its `symbol`, in which matches may be marked by
`<em>`. A future has `contracts`, whose symbols are those that have prices. It refuses a call without its own origin.
"""

import re
from typing import Any, Final, NamedTuple

from market.symbols import Symbol, SymbolError, parse_symbol
from sources.history.http_caller import HttpCaller
from sources.history.provider import BadAnswer, Means
from sources.history.rows import READ_ERRORS, shown
from sources.history.tradingview_chart import HEADERS, ORIGIN

URL: Final = "https://symbol-search.tradingview.com"

KINDS: Final = {
    "stock": "stock", "dr": "stock", "fund": "stock", "structured": "stock", "crypto": "crypto", "spot": "crypto",
    "bitcoin": "crypto", "swap": "crypto", "forex": "fx", "futures": "future", "index": "index", "economic": "index",
}  # fmt: skip
"""Asset class of each of its types; any other is `other`."""

_MARK: Final = re.compile("</?em>")


class FoundSymbol(NamedTuple):
    """One instrument."""

    symbol: Symbol
    """As TradingView names it, which is how the desk does."""
    description: str
    kind: str
    """`stock`, `crypto`, `fx`, `future`, `index` or `other`."""
    currency: str
    """Its prices', empty if unknown."""


def search(
    text: str, means: Means, *, exchange: str = "", kind: str = "", limit: int = 50, url: str | None = None
) -> list[FoundSymbol]:
    """Instruments whose ticker or description matches, best first, in one call.

    Args:
        text: What to look for.
        means: Clock, patience and quota.
        exchange: Only this one.
        kind: Only these, in its words: `stock`, `crypto`, `forex`, `futures`, `index`.
        limit: At most so many; an answer holds fifty.
        url: Another address than its own.

    Raises:
        ProviderError: As its classes say.
    """
    caller = HttpCaller(
        "tradingview", means, (url or URL,), headers={"Origin": ORIGIN, "Referer": f"{ORIGIN}/", **HEADERS}
    )
    params: dict[str, str | int] = {
        "text": text,
        "exchange": exchange,
        "search_type": kind or "undefined",
        "start": 0,
        "hl": 0,
    }
    try:
        answer = caller.get("/symbol_search/v3/", {**params, "lang": "en", "domain": "production"})
    finally:
        caller.close()
    value = answer.value
    rows = value.get("symbols") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        msg = f"tradingview answers with {shown(value)} where symbols are expected; try later, or search without it"
        raise BadAnswer(msg)
    found: dict[Symbol, FoundSymbol] = {}
    for row in rows:
        for one in _read(row):
            found.setdefault(one.symbol, one)
    return list(found.values())[:limit]


def _read(row: Any) -> list[FoundSymbol]:
    """The instruments of one row; none where their names are none of ours."""
    try:
        words = str(row["exchange"]).split()
        prefix = str(row.get("prefix") or (words[0] if words else ""))
        tickers = [str(one["symbol"]) for one in row.get("contracts") or ()] or [str(row["symbol"])]
        description = _MARK.sub("", str(row.get("description") or ""))
        kind, currency = KINDS.get(str(row.get("type")), "other"), str(row.get("currency_code") or "")
    except READ_ERRORS:
        return []
    found = []
    for ticker in tickers:
        try:
            symbol = parse_symbol(f"{prefix}:{_MARK.sub('', ticker)}")
        except SymbolError:
            continue
        found.append(FoundSymbol(symbol, description, kind, currency))
    return found
