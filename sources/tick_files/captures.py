"""Recorded frames of a venue, read by the parser that reads them live.

A line is `received_seconds: frame` (as cryptofeed writes them), `in<TAB>frame` or `in-b64<TAB>frame` (of TradingView's
sessions), or a frame alone. Lines of what was sent (`out`, or an address with an arrow) and remarks (`#`) are skipped;
an address with `<->` is a new connection, whose partial updates start over.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from market.errors import DeskError
from market.symbols import Symbol
from market.ticks import TICK
from sources.binance import BinanceFeed
from sources.coinbase import CoinbaseFeed
from sources.feed import Parsed, Parser, TickRow
from sources.kraken import KrakenFeed
from sources.kraken_v1 import KrakenV1Feed
from sources.okx import OkxFeed
from sources.stamps import LATEST_S, SECOND_NS, StampError, epoch_ns
from sources.tick_files.batches import FileBatch, Refused, shorten
from sources.tick_files.text_blocks import Block, read_blocks
from sources.tradingview import TradingViewFeed

IDS_REMEMBERED: Final = 65_536
"""Trade ids remembered at least for each symbol, and at most twice as many: what a venue sends again after a reconnect
is not a second trade."""

_RECEIVED = re.compile(rb"(\d{9,10}(?:\.\d+)?): ?", re.ASCII)
_ADDRESS = re.compile(rb"(?:wss?|https?)://", re.ASCII)
_TAGGED = re.compile(rb"(in|out)(-b64)?\t", re.ASCII)
_SECONDS_IN = re.compile(rb'"(?:lp_time|t|timestamp)":(\d{9,10})\b', re.ASCII)
_MILLIS_IN = re.compile(rb'"(?:t_ms|timestampMs)":(\d{12,13})\b', re.ASCII)

_GUESSES: Final = (
    ("okx", re.compile(rb"wss?://[^ ]*okx|\"arg\" ?:.*\"channel\"")),
    ("kraken", re.compile(rb"wss?://[^ ]*kraken|\"channel\" ?:.*\"data\"|^\{\"channel\":\"heartbeat|\"event\" ?: ?\""
                          rb"(systemStatus|subscriptionStatus|heartbeat)|^\[\d+,.*\"(trade|ticker)\",\"")),
    ("coinbase", re.compile(rb"wss?://[^ ]*coinbase|\"type\" ?:.*\"product_id|\"type\" ?: ?\"subscriptions\"")),
    ("binance", re.compile(rb"wss?://[^ ]*binance|\"stream\" ?:.*\"data\"|\"e\" ?: ?\"(aggTrade|trade)\"")),
    ("tradingview", re.compile(rb"wss?://[^ ]*tradingview|~m~\d+~m~|^(in|out)(-b64)?\t")),
)  # fmt: skip
"""What gives a venue away: its address, or the shape of its frames; the narrower shapes first."""


class _Recorded(Protocol):
    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser: ...


class _BothKrakens:
    """Kraken's two protocols in one file: v1 has arrays and events, v2 channels and methods."""

    def __init__(self, streams: dict[Symbol, int]) -> None:
        self._new = KrakenFeed().parser(streams, discover=True)
        self._old = KrakenV1Feed().parser(streams, discover=True)

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        raw = frame.encode() if isinstance(frame, str) else frame
        old = raw[:1] == b"[" or b'"event":"' in raw[:200]
        (self._old if old else self._new).parse(raw, received_time, out)


class _Kraken:
    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        assert discover
        return _BothKrakens(streams)


def guess_venue(lines: list[bytes]) -> str | None:
    """The venue whose frames the first lines of a capture hold; None if they do not say."""
    for line in lines:
        for name, signs in _GUESSES:
            if signs.search(_RECEIVED.sub(b"", line, count=1)):
                return name
    return None


def venue_of(name: str) -> _Recorded:
    """What reads a venue's recorded frames.

    Raises:
        DeskError: No venue has this name.
    """
    venues: dict[str, _Recorded] = {
        "kraken": _Kraken(), "coinbase": CoinbaseFeed(), "binance": BinanceFeed(), "okx": OkxFeed(),
        "tradingview": TradingViewFeed(), "sim": KrakenFeed(name="sim", exchange="SIM"),
    }  # fmt: skip
    if name not in venues:
        msg = f"feed {name!r} of a capture is none of {' '.join(venues)}"
        raise DeskError(msg)
    return venues[name]


class CaptureReader:
    """Reads one capture; its symbols come from the frames."""

    def __init__(self, path: Path, venue: str, symbol: Symbol | None = None) -> None:
        """Read `path`.

        Args:
            path: UTF-8, a frame a line.
            venue: `kraken coinbase binance okx tradingview sim`.
            symbol: The only one wanted; None for all.
        """
        self._path = path
        self._feed = venue_of(venue)
        self._wanted = symbol
        self._streams: dict[Symbol, int] = {}
        self._symbols: list[Symbol] = []
        self._parser = self._feed.parser(self._streams, discover=True)
        self._out = Parsed()
        self._seen: dict[int, tuple[set[int], set[int]]] = {}
        self._latest = 0
        self._row = 0
        # Other venues stamp each trade; and a trade id of theirs may look like a time.
        self._timed = venue == "tradingview"

    def batches(self) -> Iterator[FileBatch]:
        """See `sources.tick_files.batches.Reader`.

        Raises:
            DeskError: The file cannot be read, or holds no tick of the symbol wanted, though of others.
        """
        found = False
        for block in read_blocks(self._path):
            for batch in self._batches(block):
                found = found or len(batch.ticks) > 0
                yield batch
        if self._wanted is not None and not found and self._symbols:
            held = ", ".join(sorted(map(str, self._symbols)))
            msg = f"file {self._path} holds no tick of {self._wanted}; its symbols are {held}"
            raise DeskError(msg)

    def _batches(self, block: Block) -> Iterator[FileBatch]:
        """Runs of one symbol each, so that the order of the file is kept across its symbols."""
        ticks: list[TickRow] = []
        rejects: list[Refused] = []
        last = block.first_line + block.line_count() - 1
        for line, content in block.lines():
            before = len(rejects)
            self._line(line, content, ticks, rejects)
            if block.unended and line == last:
                rejects[before:] = [
                    fault._replace(reason="cut_off", text=f"the file ends amid this line: {fault.text}")
                    if fault.reason in {"json", "truncated"}
                    else fault
                    for fault in rejects[before:]
                ]
        start = 0
        self._symbols = list(self._streams)
        for end in range(1, len(ticks) + 1):
            if end == len(ticks) or ticks[end][6] != ticks[start][6]:
                yield self._run(ticks[start:end], rejects if not start else [], block.progress)
                start = end
        if not ticks and rejects:
            yield FileBatch(self._wanted, np.zeros(0, TICK), self._row + 1, rejects, block.progress)

    def _run(self, ticks: list[TickRow], rejects: list[Refused], progress: float) -> FileBatch:
        first_row = self._row + 1
        self._row += len(ticks)
        records = np.array(ticks, TICK)
        rows = np.arange(first_row, first_row + len(ticks))
        records["trade_id"] = np.where(records["trade_id"] < 0, rows, records["trade_id"])
        records["stream"] = 0
        return FileBatch(self._symbols[ticks[0][6]], records, first_row, rejects, progress)

    def _line(self, line: int, content: bytes, ticks: list[TickRow], rejects: list[Refused]) -> None:
        stamp = _RECEIVED.match(content)
        try:
            if stamp:
                received = epoch_ns(stamp[1].decode())
                self._frame(line, content[stamp.end() :], received, ticks, rejects)
                return
            text = content.strip()
            if not text or text.startswith(b"#"):
                return
            if _ADDRESS.match(text):
                if b" <-> " in text:
                    self._parser = self._feed.parser(self._streams, discover=True)
                return
            tag = _TAGGED.match(text)
            if tag:
                if tag[1] == b"out":
                    return
                text = text[tag.end() :]
                if tag[2]:
                    text = b64decode(text, validate=True)
            elif text[:1] not in {b"{", b"["} and not text.startswith(b"~m~"):
                rejects.append(Refused(line, "line", f"neither a recorded frame nor a sent one: {shorten(text)}"))
                return
        except (StampError, Base64Error) as error:
            rejects.append(Refused(line, "line", f"{error}: {shorten(content)}"))
            return
        self._frame(line, text, None, ticks, rejects)

    def _frame(
        self, line: int, frame: bytes, received: int | None, ticks: list[TickRow], rejects: list[Refused]
    ) -> None:
        """Parse one frame. Where none says when it was received, the times in the frames so far are the clock."""
        heard = received is not None
        said = _time_in(frame) if self._timed else 0
        clock = max(self._latest, said if received is None else received)
        out = self._out
        self._parser.parse(frame, clock, out)
        self._latest = clock
        if out.rejects:
            rejects.extend(Refused(line, reason, detail) for reason, detail in out.rejects)
            out.rejects.clear()
        for tick in out.ticks:
            stream, trade_id = tick[6], tick[4]
            if self._wanted is not None and self._streams.get(self._wanted) != stream:
                continue
            if tick[0] <= 0:
                detail = f"neither the capture nor the frame says when this was: {shorten(frame)}"
                rejects.append(Refused(line, "stamp", detail))
                continue
            if trade_id >= 0 and self._again(stream, trade_id):
                detail = f"trade {trade_id} was there before: {shorten(frame)}"
                rejects.append(Refused(line, "duplicate", detail))
                continue
            if not heard:
                self._latest = max(self._latest, tick[0])
            ticks.append((tick[0], self._latest, *tick[2:]))
        for held in (out.ticks, out.quotes, out.replies, out.notes, out.last_ids):
            held.clear()

    def _again(self, stream: int, trade_id: int) -> bool:
        recent, older = self._seen.setdefault(stream, (set(), set()))
        if trade_id in recent or trade_id in older:
            return True
        recent.add(trade_id)
        if len(recent) >= IDS_REMEMBERED:
            self._seen[stream] = (set(), recent)
        return False


def _time_in(frame: bytes) -> int:
    """The newest time that a frame without a received time names, ns; 0 if none."""
    seconds = (int(text) * SECOND_NS for text in _SECONDS_IN.findall(frame))
    millis = (int(text) * 1_000_000 for text in _MILLIS_IN.findall(frame))
    return max((time for time in (*seconds, *millis) if time <= LATEST_S * SECOND_NS), default=0)
