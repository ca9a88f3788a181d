"""The door to files of ticks: what form a file has, and what is in it."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from market.errors import DeskError
from market.streams import FeedKind
from market.symbols import Symbol
from sources.tick_files.aggtrades import AggTradesReader
from sources.tick_files.batches import FileBatch, Reader
from sources.tick_files.captures import CaptureReader, guess_venue, venue_of
from sources.tick_files.delimited import KRAKEN_TRADES, NEEDED, OWN, DelimitedReader
from sources.tick_files.parquet import ParquetReader

FORMATS: Final = ("csv", "parquet", "kraken-trades", "binance-aggtrades", "capture")

_HEAD_BYTES: Final = 64 * 1024
_PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2"}
_CAPTURED = re.compile(rb"(?:wss?|https?)://|\d{9,10}(?:\.\d+)?: ?[\[{]|(?:in|out)(?:-b64)?\t|~m~\d|#", re.ASCII)
_AGGREGATE = re.compile(rb'\A[\s\[]*\{(?=[^{}]*"p")(?=[^{}]*"q")(?=[^{}]*"f")(?=[^{}]*"l")(?=[^{}]*"T")[^{}]*"m"')


@dataclass(frozen=True, slots=True)
class TickFile:
    """One file of recorded ticks, checked as far as its first lines tell."""

    path: Path
    """Where it is."""

    format: str
    """One of `FORMATS`."""

    kind: FeedKind
    """Trades, or samples of the price (a capture of TradingView)."""

    hash: str
    """SHA-256 of its bytes, in hex: what its ticks are known by, with the row."""

    size_bytes: int
    """Of the file."""

    _reader: Callable[[], Reader] = field(repr=False)

    @property
    def feed(self) -> str:
        """Its name as a feed: `file:3f2a9c01`."""
        return f"file:{self.hash[:8]}"

    def batches(self) -> Iterator[FileBatch]:
        """The ticks in the file's order, in bounded memory; from the beginning at each call.

        Raises:
            DeskError: The file cannot be read on, or its form is another after all.
        """
        return self._reader().batches()


def open_ticks(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # The word that users know.
    symbol: Symbol | None = None,
    feed: str | None = None,
) -> TickFile:
    """Open a file of ticks.

    Args:
        path: The file.
        format: One of `FORMATS`; None to guess it.
        symbol: Whose ticks it holds; of a capture, the only one wanted, or None for all of them.
        feed: The venue of a capture; None to guess it.

    Raises:
        DeskError: The file is missing, empty or cannot be read, its form is unknown or not the one named, or the symbol
            is not said.
    """
    place = Path(path)
    head, size, digest = _read(place)
    form = _checked_format(place, head, format)
    if form == "capture":
        venue = feed or guess_venue(head.split(b"\n")[:50])
        if venue is None:
            msg = f"file {place} does not show which venue its frames are of; say it with --feed"
            raise DeskError(msg)
        venue_of(venue)
        kind = FeedKind.CONFLATED if venue == "tradingview" else FeedKind.TRADES
        return TickFile(place, form, kind, digest, size, partial(CaptureReader, place, venue, symbol))
    if feed is not None:
        msg = f"file {place} is {form}, which has no feed; --feed is for captures only"
        raise DeskError(msg)
    if symbol is None:
        msg = f"file {place} is {form} and does not say whose ticks it holds; say it with --symbol EXCHANGE:TICKER"
        raise DeskError(msg)
    return TickFile(place, form, FeedKind.TRADES, digest, size, partial(_reader, place, form, symbol))


def _reader(path: Path, form: str, symbol: Symbol) -> Reader:
    if form == "parquet":
        return ParquetReader(path, symbol)
    if form == "binance-aggtrades":
        return AggTradesReader(path, symbol)
    if form == "kraken-trades":
        return DelimitedReader(path, symbol, KRAKEN_TRADES, unit=1_000_000)
    return DelimitedReader(path, symbol, OWN)


def _read(path: Path) -> tuple[bytes, int, str]:
    """The file's beginning, its size and its hash."""
    try:
        if path.is_dir():
            msg = f"file {path} is a folder; name a file of ticks in it"
            raise DeskError(msg)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except FileNotFoundError as error:
        msg = f"file {path} does not exist; check the path"
        raise DeskError(msg) from error
    except OSError as error:
        msg = f"file {path} cannot be read: {error.strerror or error}"
        raise DeskError(msg) from error
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        msg = f"file {path} is empty; there are no ticks in it"
        raise DeskError(msg)
    return head.removeprefix(b"\xef\xbb\xbf"), size, digest


def _checked_format(path: Path, head: bytes, named: str | None) -> str:
    if named is not None and named not in FORMATS:
        msg = f"format {named!r} is none of {' '.join(FORMATS)}"
        raise DeskError(msg)
    for magic, packing in _PACKED.items():
        if head.startswith(magic):
            msg = f"file {path} is packed with {packing}; unpack it first"
            raise DeskError(msg)
    is_parquet = head.startswith(b"PAR1")
    if named == "parquet" or (named is None and is_parquet):
        if not is_parquet:
            msg = f"file {path} is not Parquet: it does not begin with PAR1"
            raise DeskError(msg)
        return "parquet"
    if is_parquet:
        msg = f"file {path} is Parquet, not {named}"
        raise DeskError(msg)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in head:
        msg = f"file {path} is not UTF-8 text (it has zero bytes, as UTF-16 has); save it as UTF-8"
        raise DeskError(msg)
    if named == "capture" and not _is_capture(_first_line(head)):
        msg = f"file {path}, line 1: {_first_line(head)[:80]!r} is neither a recorded frame nor a sent one; no capture"
        raise DeskError(msg)
    return named or _guess(path, head)


def _first_line(head: bytes) -> bytes:
    return next(line for line in head.split(b"\n") if line.strip()).strip()


def _is_capture(first: bytes) -> bool:
    return bool(_CAPTURED.match(first)) or first[:1] in {b"{", b"["}


def _guess(path: Path, head: bytes) -> str:
    first = _first_line(head)
    columns = {name.strip().strip(b'"').lower().decode("utf-8", "replace") for name in re.split(rb"[,;\t]", first)}
    if columns >= set(NEEDED):
        return "csv"
    if columns >= set(KRAKEN_TRADES.values()):
        return "kraken-trades"
    if _AGGREGATE.match(head):
        return "binance-aggtrades"
    if _CAPTURED.match(first) or (_is_capture(first) and guess_venue([first])):
        return "capture"
    msg = (
        f"file {path}, line 1: {first[:80]!r} begins no form of ticks known here: CSV with event_time,price,size, "
        f"Parquet, kraken-trades (time_ms,side,price,amount), binance-aggtrades (JSON) or a capture; say --format"
    )
    raise DeskError(msg)
