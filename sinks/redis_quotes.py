"""The latest quote of each symbol in Redis: `quote:{EXCHANGE}:{TICKER}`, a hash that lives sixty seconds.

One command a flush, whatever the number of symbols in it: a script writes each hash with its expiry and publishes its
symbol on the channel `quotes`, so no hash is ever left without an expiry. Redis is never waited for; while it is away
nothing is written, what it holds runs out, and when it is back all that is still fresh is written again.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.redis_pipe import RedisPipe, command

TTL_MS: Final = 60_000
"""How long a quote is readable after it was received."""
CHANNEL: Final = "quotes"

_NS_PER_MS: Final = 1_000_000
_SCRIPT: Final = b"""
for _, quote in ipairs(cjson.decode(ARGV[1])) do
  redis.call('DEL', quote[1])
  redis.call('HSET', quote[1], unpack(quote[4]))
  redis.call('PEXPIRE', quote[1], quote[2])
  redis.call('PUBLISH', 'quotes', quote[3])
end
return 1
"""


class LatestQuote(NamedTuple):
    """What is known of one symbol; NaN where it is not."""

    symbol: str
    """`EXCHANGE:TICKER`."""
    event_time: int
    """ns, the venue's stamp of the newest tick or quote."""
    received_time: int
    """ns, ours."""
    last: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    feed: str
    kind: str
    """`trades` or `conflated`."""
    session: str
    """`open`, `pre`, `post`, `closed`."""
    delayed: bool
    """Whether the venue delays what it tells this feed."""


class QuoteCache:
    """Writes quotes. Remembers the newest of each symbol, some 300 bytes, to write it again when Redis comes back.

    For one thread.
    """

    def __init__(self, pipe: RedisPipe, now_ns: Callable[[], int]) -> None:
        """Begin with nothing written.

        Args:
            pipe: The connection; closed by its owner.
            now_ns: ns UTC: what is older than a minute is written no more.
        """
        self._pipe = pipe
        self._now_ns = now_ns
        self._known: dict[str, LatestQuote] = {}
        self._generation = 0

    def write(self, quotes: Iterable[LatestQuote]) -> bool:
        """Write the newest of each symbol, and all that is fresh if Redis has come back.

        Args:
            quotes: In the order in which they came to be known; none, to look after the connection only.

        Returns:
            Whether Redis was there.
        """
        newest = {quote.symbol: quote for quote in quotes}
        self._known.update(newest)
        pipe = self._pipe
        if pipe.connected and pipe.generation != self._generation:
            self._generation = pipe.generation
            newest = self._known
        now = self._now_ns()
        entries = [entry for quote in newest.values() if (entry := _entry(quote, now)) is not None]
        if not entries:
            return pipe.pump()
        return pipe.send(command(b"EVAL", _SCRIPT, b"0", msgspec.json.encode(entries)), 1)

    def drain(self, timeout_s: float) -> bool:
        """Wait until Redis has answered for all that was written; whether it did in time."""
        return self._pipe.drain(timeout_s)


def _entry(quote: LatestQuote, now: int) -> tuple[str, int, str, list[str]] | None:
    """What the script needs for one quote; None for one too old to be shown."""
    left_ms = TTL_MS - (now - quote.received_time) // _NS_PER_MS
    if left_ms <= 0:
        return None
    fields = ["event_time", str(quote.event_time), "received_time", str(quote.received_time)]
    fields += ["feed", quote.feed, "kind", quote.kind, "session", quote.session]
    for name, number in zip(_NUMBERS, quote[3:8], strict=True):
        if number == number:  # noqa: PLR0124  # NaN, "not known", is the one value unequal to itself.
            fields += [name, repr(number)]
    if quote.delayed:
        fields += ["delayed", "1"]
    return f"quote:{quote.symbol}", min(left_ms, TTL_MS), quote.symbol, fields


_NUMBERS: Final = LatestQuote._fields[3:8]


class _Partition(StatefulSinkPartition[Sequence[LatestQuote], None]):
    def __init__(self, cache: QuoteCache, written: Callable[[int], None]) -> None:
        self._cache = cache
        self._written = written

    def write_batch(self, values: list[Sequence[LatestQuote]]) -> None:
        self._cache.write([quote for quotes in values for quote in quotes])
        self._written(len(values))

    def snapshot(self) -> None:
        self._cache.drain(0.05)

    def close(self) -> None:
        self._cache.drain(0.5)


class RedisQuoteSink(FixedPartitionedSink[Sequence[LatestQuote], None]):
    """Takes batches of quotes under any key, as one partition; an empty batch looks after the connection."""

    def __init__(self, cache: QuoteCache, written: Callable[[int], None]) -> None:
        """Describe the sink.

        Args:
            cache: Where the quotes go.
            written: Told how many batches have arrived, so that the source knows when it may block.
        """
        self._cache = cache
        self._written = written

    def list_parts(self) -> list[str]:
        """One."""
        return ["quotes"]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002  # Bytewax's signature.
        """All keys are of the one partition."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Partition:  # noqa: ARG002
        """Build the partition; there is no state to resume."""
        return _Partition(self._cache, self._written)
