"""What a venue's file provides: pure parsing and the venue's rules. The connection loop does everything else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from market.streams import FeedKind
from market.symbols import Symbol

TickRow = tuple[int, int, float, float, int, int, int, int, int]
"""One tick in the order of `market.ticks.TICK`: event_time, received_time, price, size, trade_id, count, stream,
aggressor, flags."""

QuoteRow = tuple[int, int, float, float, float, float, float, int, int, int, int]
"""One quote in the order of `market.ticks.QUOTE`: event_time, received_time, last, bid, ask, bid_size, ask_size,
stream, session, flags, 0."""


@dataclass(slots=True)
class Parsed:
    """What one frame held. A parser appends; the connection loop reads and clears."""

    ticks: list[TickRow] = field(default_factory=list)
    """In the frame's order; `stream` is the id that the parser was given for the symbol."""

    quotes: list[QuoteRow] = field(default_factory=list)
    """In the frame's order, at most the last of each symbol matters."""

    replies: list[str] = field(default_factory=list)
    """Frames to send back at once (heartbeats)."""

    rejects: list[tuple[str, str]] = field(default_factory=list)
    """(reason, detail): what could not be read; the rest of the frame was."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    """(event, detail): a subscription confirmed or refused, a status, an announcement of maintenance."""

    last_ids: list[tuple[int, int]] = field(default_factory=list)
    """(stream, trade id): the newest trade that the venue says exists (Coinbase's heartbeat), for the gap check."""

    reconnect: bool = False
    """The venue announced that it is about to close this connection."""


class Parser(Protocol):
    """Reads the frames of one connection; made anew for each, since a venue's partial updates start over."""

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """Append what `frame` holds to `out`. Never raises on any input: what cannot be read goes to `out.rejects`.

        Args:
            frame: One WebSocket message as it came.
            received_time: ns, becomes the ticks' `received_time`.
            out: Appended to.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue allows and how it behaves; each figure's source is in the venue's file."""

    symbols_per_connection: int
    symbols_per_subscribe: int
    messages_per_second: float
    """Client messages, averaged."""
    connect_interval_s: float
    """Least time between two connects to the venue."""
    silence_s: float
    """Without any frame for this long, the connection is dead."""
    symbol_silence_s: float
    """Without a tick for this long, a symbol that had been trading is reported as mute and subscribed again."""
    heartbeat_s: float | None
    """How often to send `Feed.heartbeat()`; None where the venue needs none."""
    lifetime_s: float | None
    """The venue ends a connection after this long; the loop opens the next one before, with an overlap."""
    max_frame_bytes: int


class Feed(Protocol):
    """One venue's live data."""

    name: str
    """`kraken`, `coinbase`, `binance`, `okx`, `tradingview`, `sim`."""

    exchange: str | None
    """The only exchange it serves, `KRAKEN`; None where it serves many (TradingView)."""

    kind: FeedKind
    limits: Limits
    contiguous_ids: bool
    """Whether a stream's trade ids rise by one, or by `count` for an aggregate, so that a jump is a loss."""

    def urls(self) -> Sequence[str]:
        """WebSocket addresses in the order to try them."""

    def headers(self) -> dict[str, str]:
        """Headers that the venue wants on the upgrade."""

    def hello(self) -> list[str]:
        """Frames to send before any subscription."""

    def subscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """Frames that subscribe to trades and, where free, best bid and ask; already in the venue's chunks."""

    def unsubscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """Frames that undo `subscribe`."""

    def heartbeat(self) -> str:
        """The application heartbeat to send every `limits.heartbeat_s`."""

    def parser(self, streams: dict[Symbol, int]) -> Parser:
        """A parser for one connection.

        Args:
            streams: Stream id by symbol; the loop adds to it as symbols are subscribed at runtime.
        """
