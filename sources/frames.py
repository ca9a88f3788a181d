"""What the venues' parsers share: how a frame's trouble is told, and the way from a venue's name to a stream."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Annotated, Final

import msgspec

from market.spelling import from_venue, to_venue
from market.symbols import Symbol, SymbolError
from sources.feed import Parsed

READ_ERRORS: Final = (ValueError, RecursionError, OverflowError)
"""All that reading an untrusted frame can raise: malformed JSON (msgspec's errors are ValueErrors), bad UTF-8, nesting
without end, numbers without end."""

TradeId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A venue's trade id, as journal records can hold it."""

Count = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
"""Trades in one report."""

MillisOrMicros = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_035_999_999)]
"""An epoch stamp in milliseconds or microseconds that nanoseconds can hold."""

_MOST_STREAMS = 65_535


def finite(*numbers: float) -> bool:
    """Whether all are numbers that a price or size can be: neither NaN nor infinite."""
    return all(map(isfinite, numbers))


def clip(frame: str | bytes, most: int = 200) -> str:
    """The beginning of a frame, printable, for a reject's detail."""
    text = frame[:most].decode("utf-8", "backslashreplace") if isinstance(frame, bytes) else frame[:most]
    return ascii(text) if not text.isprintable() else text


def refuse(out: Parsed, why: Exception | str, frame: str | bytes, reason: str | None = None) -> None:
    """Note one reject: its reason in a word, and a detail with the beginning of what was refused.

    Args:
        out: Appended to.
        why: What was found; an exception's type gives the reason where none is named: `shape` for JSON with other
            fields or types than documented, `json` for what is no JSON.
        frame: The frame, or the part of it that is refused.
        reason: `json shape number stamp symbol encoding truncated unknown`.
    """
    if reason is None:
        reason = "shape" if isinstance(why, msgspec.ValidationError) else "json"
    out.rejects.append((reason, f"{why}; in {clip(frame)}"))


def chunks(symbols: Sequence[Symbol], most: int) -> Iterator[Sequence[Symbol]]:
    """Symbols in runs of at most `most`."""
    for start in range(0, len(symbols), most):
        yield symbols[start : start + most]


class Routes:
    """From a venue's name of an instrument to the stream it was subscribed as.

    Names are looked up as they were asked for, never guessed from the frame: two keys of one ticker with different
    prices cannot be confused. Bounded by the streams given.
    """

    __slots__ = ("_discover", "_known", "_names", "_streams", "_venue")

    def __init__(self, streams: dict[Symbol, int], venue: str, *, discover: bool = False) -> None:
        """Read names of `venue` for `streams`, which the caller may add to and take from at any time.

        Args:
            streams: Stream id by symbol.
            venue: As in `market.spelling`.
            discover: Give names not asked for the next free id, as when reading a recorded capture.
        """
        self._streams = streams
        self._venue = venue
        self._discover = discover
        self._names: dict[str, Symbol] = {}
        self._known: set[Symbol] = set()

    def stream(self, name: str) -> int | None:
        """Id of the stream that goes by this name; None where none does (any more)."""
        symbol = self._names.get(name)
        if symbol is None:
            symbol = self._learn(name)
            if symbol is None:
                return None
        return self._streams.get(symbol)

    def _learn(self, name: str) -> Symbol | None:
        if self._streams.keys() != self._known:
            self._known = set(self._streams)
            self._names.clear()
            for symbol in self._streams:
                try:
                    self._names[to_venue(symbol, self._venue)] = symbol
                except SymbolError:
                    continue  # It was refused at its subscription, so no frame can be about it.
        found = self._names.get(name)
        if found is None and self._discover and len(self._streams) < _MOST_STREAMS:
            try:
                found = from_venue(name, self._venue)
            except SymbolError:
                return None
            self._streams.setdefault(found, len(self._streams))
            self._known.add(found)
            self._names[name] = found
        return found
