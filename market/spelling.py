"""One map from the desk's symbols to each venue's spelling, and back.

The desk writes `EXCHANGE:TICKER` with the pair joined (`KRAKEN:BTCUSD`, `OKX:BTCUSDT`, `OKX:BTCUSDT.P` for a perpetual
swap, `NYSE:BRK.B` for a class of shares). Where a venue wants base and quote apart, the joined ticker is split by the
longest quote in that venue's table that leaves a base: `BTCUSDT` is BTC and USDT. A pair that the table would split
elsewhere keeps a slash (`KRAKEN:BTC/XYZ`), so every name that a venue uses goes there and back unchanged.
"""

import json
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from market.symbols import Symbol, SymbolError, parse_symbol

_CODE = re.compile(r"[A-Z0-9][A-Z0-9.]{0,19}")
_CLASS_OF_SHARES = re.compile(r"([A-Z]{1,6})[-/. ]([A-Z])")
_JOINED = re.compile(r"[A-Z0-9]{2,40}")
_SERIES = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)*")

_BINANCE_QUOTES: Final = (
    "FDUSD", "TUSD", "BUSD", "USDT", "USDC", "USDP", "USD1", "USDS", "USD", "PAX", "BIDR", "IDRT", "BTC", "ETH", "BNB",
    "TRX", "XRP", "DOGE", "DAI", "EUR", "AEUR", "EURI", "GBP", "AUD", "TRY", "BRL", "JPY", "ZAR", "UAH", "RUB", "NGN",
    "PLN", "RON", "ARS", "MXN", "COP", "CZK",
)  # fmt: skip

QUOTES: Final[dict[str, tuple[str, ...]]] = {
    "kraken": ("USDT", "USDC", "USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF", "DAI", "BTC", "ETH"),
    "coinbase": ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH", "DAI", "INR", "SGD", "AUD", "CAD"),
    "okx": ("USDT", "USDC", "USD", "EUR", "BTC", "ETH", "DAI", "AUD", "BRL", "TRY", "AED", "SGD", "OKB"),
    "binance": _BINANCE_QUOTES,
    "sim": ("USDT", "USDC", "USD", "EUR", "BTC", "ETH"),
}
"""Quote currencies by venue, the desk's codes. No other currency is ever taken for a quote."""

_LONGEST_FIRST: Final = {
    venue: tuple(sorted(codes, key=lambda code: (-len(code), code))) for venue, codes in QUOTES.items()
}

EXCHANGES: Final = {
    "kraken": "KRAKEN", "kraken_v1": "KRAKEN", "coinbase": "COINBASE", "binance": "BINANCE", "okx": "OKX", "sim": "SIM",
}  # fmt: skip
"""The one exchange of each venue that serves one."""

_KRAKEN_OLD: Final = {"XBT": "BTC", "XDG": "DOGE"}
_KRAKEN_NEW: Final = {new: old for old, new in _KRAKEN_OLD.items()}
_KRAKEN_ASSETS: Final = {
    **{f"X{code}": code for code in ("XBT", "XDG", "ETH", "LTC", "XRP", "XLM", "XMR", "ZEC", "ETC", "REP", "MLN")},
    **{f"Z{code}": code for code in ("USD", "EUR", "GBP", "CAD", "JPY", "AUD")},
    "USDT": "USDT",
}
"""Kraken's first assets carry an X (currency of the net) or a Z (of a state) in its REST names: `XXBTZUSD`."""

_CLASS_SEPARATORS: Final = {"yahoo": "-", "tradier": "/", "alpaca": ".", "polygon": "."}
"""How each provider of stock data sets off a class of shares: BRK-B, BRK/B, BRK.B."""

_TRADINGVIEW_SAME_PRICE: Final = frozenset({"symbol", "session", "adjustment"})
"""Parts of a TradingView key that leave a live quote's price as it is; any other makes it another instrument."""


class _Spelling(NamedTuple):
    to: Callable[[str], str]
    of: Callable[[str], str]


def to_venue(symbol: Symbol, venue: str) -> str:
    """Write a symbol as a venue does.

    Args:
        symbol: The instrument; a ticker in the venue's own spelling (`COINBASE:BTC-USD`) is understood too.
        venue: `kraken kraken_v1 coinbase binance okx sim tradingview`, or a provider of stock data.

    Raises:
        SymbolError: The venue does not serve the exchange, or no known quote currency ends the ticker.

    >>> to_venue(parse_symbol("KRAKEN:BTCUSD"), "kraken_v1"), to_venue(parse_symbol("OKX:BTCUSDT.P"), "okx")
    ('XBT/USD', 'BTC-USDT-SWAP')
    """
    if venue == "tradingview":
        return str(symbol._replace(ticker=_plain_ticker(symbol)))
    if venue in _CLASS_SEPARATORS:
        return _class_of_shares(symbol.ticker, _CLASS_SEPARATORS[venue])
    spelling = _spelling(venue)
    if symbol.exchange != EXCHANGES[venue]:
        msg = f"symbol {symbol} is not on {venue}, which serves {EXCHANGES[venue]}: only"
        raise SymbolError(msg)
    return spelling.to(symbol.ticker)


def from_venue(text: str, venue: str, exchange: str | None = None) -> Symbol:
    """Read a venue's spelling.

    Args:
        text: The name as the venue writes it, in any case.
        venue: As for `to_venue`.
        exchange: Where the instrument trades; needed for providers whose names do not say it (`yahoo`).

    Raises:
        SymbolError: The text is no name of that venue, or names something with other prices than the plain symbol.

    >>> str(from_venue("XXBTZUSD", "kraken"))
    'KRAKEN:BTCUSD'
    >>> str(from_venue('={"session":"regular","symbol":"NYSE:F"}', "tradingview"))
    'NYSE:F'
    """
    if venue == "tradingview":
        return _from_tradingview(text)
    if venue in _CLASS_SEPARATORS:
        if not exchange:
            msg = f"symbol {text!r} of {venue} does not say its exchange; name it"
            raise SymbolError(msg)
        return parse_symbol(f"{exchange}:{_class_of_shares(text.strip().upper(), '.')}")
    ticker = _spelling(venue).of(text.strip().upper())
    return parse_symbol(f"{EXCHANGES[venue]}:{ticker}")


def canonical(symbol: Symbol) -> Symbol:
    """The desk's one name for what a user may have written in a venue's way.

    Raises:
        SymbolError: The exchange is a venue of ours, and the ticker is no pair of it.

    >>> str(canonical(parse_symbol("kraken:xbt/usd"))), str(canonical(parse_symbol("NYSE:BRK-B")))
    ('KRAKEN:BTCUSD', 'NYSE:BRK.B')
    """
    for venue in ("kraken", "coinbase", "binance", "okx", "sim"):
        if symbol.exchange == EXCHANGES[venue]:
            return from_venue(to_venue(symbol, venue), venue)
    return symbol._replace(ticker=_plain_ticker(symbol))


def read_symbol(text: str) -> Symbol:
    """What a user wrote, by the desk's one name for it; a ticker that is no pair of its venue stays as it is.

    Raises:
        SymbolError: The text is not `EXCHANGE:TICKER`.

    >>> str(read_symbol("kraken:xbtusd")), str(read_symbol("KRAKEN:ANY"))
    ('KRAKEN:BTCUSD', 'KRAKEN:ANY')
    """
    symbol = parse_symbol(text)
    try:
        return canonical(symbol)
    except SymbolError:
        return symbol


def split_pair(ticker: str, venue: str) -> tuple[str, str]:
    """Base and quote of a joined pair: the longest quote in the venue's table that leaves a base.

    Raises:
        SymbolError: No quote in the table ends the ticker.

    >>> split_pair("BTCUSDT", "binance"), split_pair("USDTUSD", "kraken")
    (('BTC', 'USDT'), ('USDT', 'USD'))
    """
    for quote in _LONGEST_FIRST[venue]:
        if ticker.endswith(quote) and len(ticker) > len(quote):
            return ticker[: -len(quote)], quote
    msg = (
        f"ticker {ticker!r} ends with no quote currency known on {venue} ({' '.join(QUOTES[venue])}); "
        f"write it with a slash, such as {EXCHANGES[venue]}:ABC/XYZ"
    )
    raise SymbolError(msg)


def _spelling(venue: str) -> _Spelling:
    try:
        return _SPELLINGS[venue]
    except KeyError:
        known = " ".join([*_SPELLINGS, "tradingview", *_CLASS_SEPARATORS])
        msg = f"venue {venue!r} has no spelling; known are {known}"
        raise SymbolError(msg) from None


def _join(base: str, quote: str, venue: str, apart: Callable[[str], tuple[str, str]] | None = None) -> str:
    """The joined ticker if it comes apart into the same two again, else with a slash between them."""
    for code in (base, quote):
        if not _CODE.fullmatch(code):
            msg = f"{venue} currency {code!r} is not 1 to 20 letters, digits and dots"
            raise SymbolError(msg)
    joined = base + quote
    try:
        again = apart(joined) if apart else split_pair(joined, venue)
    except SymbolError:
        again = None
    return joined if again == (base, quote) else f"{base}/{quote}"


def _apart(ticker: str, venue: str) -> tuple[str, str]:
    """Base and quote of a ticker that may say them itself, by a slash or a dash."""
    for separator in "/-":
        base, found, quote = ticker.partition(separator)
        if found:
            if not _CODE.fullmatch(base) or not _CODE.fullmatch(quote):
                msg = f"ticker {ticker!r} is not BASE{separator}QUOTE"
                raise SymbolError(msg)
            return base, quote
    return split_pair(ticker, venue)


def _two(text: str, separator: str, venue: str) -> tuple[str, str]:
    base, found, quote = text.partition(separator)
    if not found:
        msg = f"{venue} symbol {text!r} has no {separator!r} between base and quote"
        raise SymbolError(msg)
    return base, quote


def _to_kraken(ticker: str) -> str:
    base, quote = _kraken_apart(ticker)
    return f"{base}/{quote}"


def _to_kraken_v1(ticker: str) -> str:
    base, quote = _kraken_apart(ticker)
    return f"{_KRAKEN_NEW.get(base, base)}/{_KRAKEN_NEW.get(quote, quote)}"


def _of_kraken(text: str) -> str:
    return _join(*_kraken_apart(text), "kraken", _kraken_apart)


def _kraken_apart(text: str) -> tuple[str, str]:
    """Base and quote of any of Kraken's spellings: BTC/USD, XBT/USD, XBTUSD, XXBTZUSD."""
    if "/" not in text and "-" not in text:
        # XTZUSD is Tezos and no pair of XT with ZUSD: the old names count only where both halves are old names.
        base, quote = _KRAKEN_ASSETS.get(text[:4]), _KRAKEN_ASSETS.get(text[4:])
        if base and quote:
            return _KRAKEN_OLD.get(base, base), _KRAKEN_OLD.get(quote, quote)
        for old, new in _KRAKEN_OLD.items():
            text = f"{text[: -len(old)]}{new}" if text.endswith(old) and len(text) > len(old) else text
    base, quote = _apart(text, "kraken")
    return _KRAKEN_OLD.get(base, base), _KRAKEN_OLD.get(quote, quote)


def _to_coinbase(ticker: str) -> str:
    return "-".join(_apart(ticker, "coinbase"))


def _of_coinbase(text: str) -> str:
    return _join(*_two(text, "-", "coinbase"), "coinbase")


def _to_binance(ticker: str) -> str:
    joined = ticker.replace("/", "").replace("-", "")
    if not _JOINED.fullmatch(joined):
        msg = f"ticker {ticker!r} is no spot pair of binance: those are letters and digits, such as BTCUSDT"
        raise SymbolError(msg)
    return joined.lower()


def _of_binance(text: str) -> str:
    return _to_binance(text).upper()


def _to_okx(ticker: str) -> str:
    pair, dash, series = ticker.partition("-")
    if dash and not series[0:1].isdigit():
        # A user's BTC-USDT or BTC-USDT-SWAP: the quote is what follows the first dash.
        quote, _, series = series.partition("-")
        pair = f"{pair}/{quote}"
    if pair.endswith(".P"):
        pair, series = pair[:-2], "SWAP"
    parts = [*_apart(pair, "okx"), *([series] if series else [])]
    if series and not _SERIES.fullmatch(series):
        msg = f"ticker {ticker!r} is no instrument of okx: {series!r} is neither a swap nor an expiry"
        raise SymbolError(msg)
    return "-".join(parts)


def _of_okx(text: str) -> str:
    base, rest = _two(text, "-", "okx")
    quote, _, series = rest.partition("-")
    pair = _join(base, quote, "okx")
    if series == "SWAP":
        return f"{pair}.P"
    return f"{pair}-{series}" if series else pair


def _to_sim(ticker: str) -> str:
    return "/".join(_apart(ticker, "sim"))


def _of_sim(text: str) -> str:
    return _join(*_two(text, "/", "sim"), "sim")


def _plain_ticker(symbol: Symbol) -> str:
    if symbol.exchange in EXCHANGES.values():
        return symbol.ticker.replace("/", "")
    return _class_of_shares(symbol.ticker, ".")


def _class_of_shares(ticker: str, separator: str) -> str:
    """`BRK-B`, `BRK/B` and `BRK.B` are one share; anything else is left alone (`BAC/PL` is a preferred one)."""
    found = _CLASS_OF_SHARES.fullmatch(ticker)
    return f"{found[1]}{separator}{found[2]}" if found else ticker


def _from_tradingview(text: str) -> Symbol:
    if not text.startswith("="):
        return parse_symbol(text)
    try:
        key = json.loads(text[1:])
    except (ValueError, RecursionError) as error:
        msg = f"tradingview key {text[:80]!r} is not ={{...}}: {error}"
        raise SymbolError(msg) from error
    name = key.get("symbol") if isinstance(key, dict) else None
    if not isinstance(name, str):
        msg = f"tradingview key {text[:80]!r} names no plain symbol"
        raise SymbolError(msg)
    other = sorted(set(key) - _TRADINGVIEW_SAME_PRICE)
    if other or key.get("adjustment") == "dividends":
        why = " ".join(other) or "adjustment"
        msg = f"tradingview key {text[:80]!r} has other prices than {name}: {why} changes them"
        raise SymbolError(msg)
    return parse_symbol(name)


_SPELLINGS: Final = {
    "kraken": _Spelling(_to_kraken, _of_kraken),
    "kraken_v1": _Spelling(_to_kraken_v1, _of_kraken),
    "coinbase": _Spelling(_to_coinbase, _of_coinbase),
    "binance": _Spelling(_to_binance, _of_binance),
    "okx": _Spelling(_to_okx, _of_okx),
    "sim": _Spelling(_to_sim, _of_sim),
}
