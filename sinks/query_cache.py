"""Answers to questions about bars, kept in Redis for five minutes, and dropped as soon as their series is written to.

`bars:asked:ID:EXCHANGE:TICKER:INTERVAL` is a hash of the answers about one series of the store with that id, beside the
fields `token` and `epoch`. An answer goes in only if the token is still the one that was there before the store was
read: so what was read before a write is never kept after it.

A writer marks a series before its commit and drops it after. If it is killed in between, the mark keeps answers from
being kept until it expires. What many series are written to at once is dropped by a new epoch, in one step.
"""

import io
from collections.abc import Callable, Collection
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from market.bars import BarBatch, BarState
from market.intervals import INTERVALS, NAMES, Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    import polars as pl
    import redis

    from sinks.bar_store import BarStore, Written

TTL_S: Final = 300
"""How long an answer is kept at most."""
EPOCH_TTL_S: Final = 2 * TTL_S
"""Longer than any answer of the epoch before."""
MANY: Final = 200
"""A write to more series than this begins an epoch instead of dropping each."""
ANSWER_BYTES: Final = 1 << 20
"""A longer answer (some 20,000 bars) is not kept: it takes the room of what is asked often."""
ANSWERS: Final = 32
"""Answers about one series; with more, all of its are dropped."""
TIMEOUT_S: Final = 0.25
AWAY_S: Final = 5.0
"""How long a Redis that did not answer is left alone."""

_PREFIX: Final = "bars:asked:"
_WRITING: Final = "writing"

# KEYS: series, epoch, counts. ARGV: question, seconds, most fields. Returns the token to keep an answer under, empty if
# it must not be kept, and the answer, if there is one.
_ASK: Final = """
local epoch = redis.call('GET', KEYS[2]) or ''
local token = redis.call('HGET', KEYS[1], 'token')
if epoch == 'writing' or token == 'writing' then
  redis.call('HINCRBY', KEYS[3], 'misses', 1)
  return {'', false}
end
if not token or redis.call('HGET', KEYS[1], 'epoch') ~= epoch or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  token = tostring(redis.call('HINCRBY', KEYS[3], 'tokens', 1))
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'token', token, 'epoch', epoch)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
local answer = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[3], answer and 'hits' or 'misses', 1)
return {token, answer}
"""

# KEYS: series, epoch. ARGV: question, token, answer.
_KEEP: Final = """
if redis.call('HGET', KEYS[1], 'token') == ARGV[2]
    and redis.call('HGET', KEYS[1], 'epoch') == (redis.call('GET', KEYS[2]) or '') then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
"""


# KEYS: epoch, counts. ARGV: seconds.
_NEW_EPOCH: Final = """
redis.call('SET', KEYS[1], redis.call('HINCRBY', KEYS[2], 'tokens', 1), 'EX', ARGV[1])
"""


class Hits(NamedTuple):
    """How often an answer was there, since Redis started."""

    hits: int
    misses: int


class _Keys:
    """Names in Redis of what belongs to one store."""

    def __init__(self, where: str) -> None:
        own = f"{_PREFIX}{blake2b(where.encode(), digest_size=6).hexdigest()}"
        self._own = own
        self.epoch = f"{own}:epoch"
        self.counts = f"{own}:counts"

    def series(self, symbol: Symbol, interval: Interval) -> str:
        """The hash of one series."""
        return f"{self._own}:{symbol}:{NAMES[interval]}"


class QueryCache:
    """What was asked of a store lately. May be used by several threads.

    Where Redis is away the store is asked, at once: a Redis that did not answer is not asked again for some seconds.
    """

    def __init__(self, url: str, where: str, *, clock_s: Callable[[], float] = monotonic) -> None:
        """Nothing is connected yet.

        Args:
            url: Of Redis.
            where: The store's address, as the settings have it.
            clock_s: Seconds, monotone.
        """
        self._keys = _Keys(where)
        self._door = _Door(url, clock_s)

    def read(
        self,
        load: "Callable[[], pl.DataFrame]",
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: Collection[BarState] | None = None,
        as_of: int | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """The answer to a question, kept or loaded.

        Args:
            load: Asks the store just this.
            symbol: As in `BarStore.read`, and the others too.
            interval: As there.
            start: As there.
            end: As there.
            limit: As there.
            states: As there.
            as_of: As there.
            newest_first: As there.
        """
        import polars as pl

        wanted = None if states is None else sorted(int(state) for state in states)
        question = repr((start, end, limit, wanted, as_of, newest_first))
        keys = [self._keys.series(symbol, interval), self._keys.epoch, self._keys.counts]
        found = self._door.ask(lambda client: client.eval(_ASK, 3, *keys, question, TTL_S, ANSWERS + 2))
        token, answer = found or (b"", None)
        if answer is not None:
            try:
                return pl.read_ipc_stream(io.BytesIO(answer))
            except (pl.exceptions.PolarsError, OSError):
                # Another version's, say. The store knows.
                pass
        frame = load()
        if token and frame.estimated_size() <= 4 * ANSWER_BYTES:
            content = io.BytesIO()
            frame.write_ipc_stream(content, compression="lz4")
            if content.tell() <= ANSWER_BYTES:
                self._door.ask(lambda client: client.eval(_KEEP, 2, *keys[:2], question, token, content.getvalue()))
        return frame

    def hits(self) -> Hits | None:
        """How often an answer was there; None where Redis is away."""
        found = self._door.ask(lambda client: client.hmget(self._keys.counts, "hits", "misses"))
        return None if found is None else Hits(*(int(count or 0) for count in found))

    def close(self) -> None:
        """Let go of the connection."""
        self._door.close()


class AnnouncedBars:
    """A bar store that drops what is kept of a series whenever the series is written to. All else is the store's."""

    def __init__(self, store: "BarStore", url: str, where: str, *, clock_s: Callable[[], float] = monotonic) -> None:
        """See `QueryCache`."""
        self._store = store
        self._keys = _Keys(where)
        self._door = _Door(url, clock_s)
        self._missed = False
        """Whether a write went by while Redis was away: then all that it still has is doubtful."""

    def upsert(self, batch: BarBatch, *, writer: str, upto: int | None = None, own_revisions: bool) -> "Written":
        """See `BarStore.upsert`."""
        names = self._written_to(batch)
        self._mark(names)
        try:
            return self._store.upsert(batch, writer=writer, upto=upto, own_revisions=own_revisions)
        finally:
            self._drop(names)

    def forget(self, symbol: Symbol) -> int:
        """See `BarStore.forget`."""
        names = [self._keys.series(symbol, interval) for interval in INTERVALS]
        self._mark(names)
        try:
            return self._store.forget(symbol)
        finally:
            self._drop(names)

    def close(self) -> None:
        """See `BarStore.close`."""
        self._door.close()
        self._store.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _written_to(self, batch: BarBatch) -> list[str]:
        """The series of a batch; a list of one empty word where they are too many to be named."""
        pairs = np.unique(batch.rows["stream"].astype(np.int64) << 8 | batch.rows["interval"]).tolist()
        if len(pairs) > MANY:
            return [""]
        return [self._keys.series(batch.streams[pair >> 8].symbol, INTERVALS[pair & 0xFF]) for pair in pairs]

    def _mark(self, names: list[str]) -> None:
        """Let nobody keep an answer from here on."""

        def mark(client: "redis.Redis") -> bool:
            with client.pipeline(transaction=False) as pipe:
                if self._missed or names == [""]:
                    pipe.set(self._keys.epoch, _WRITING, ex=TTL_S)
                else:
                    for name in names:
                        pipe.delete(name)
                        pipe.hset(name, "token", _WRITING)
                        pipe.expire(name, TTL_S)
                pipe.execute()
            return True

        if names:
            self._door.ask(mark)

    def _drop(self, names: list[str]) -> None:
        """Let answers be kept again: there are none from before."""

        def drop(client: "redis.Redis") -> bool:
            if self._missed or names == [""]:
                client.eval(_NEW_EPOCH, 2, self._keys.epoch, self._keys.counts, EPOCH_TTL_S)
            else:
                client.delete(*names)
            return True

        if names:
            self._missed = self._door.ask(drop) is None


def announced(store: "BarStore", url: str, where: str) -> "BarStore":
    """The store, such that what is kept of a series goes when it is written to.

    Args:
        store: Opened for writing.
        url: Of Redis.
        where: The store's address, as the settings have it.
    """
    return cast("BarStore", AnnouncedBars(store, url, where))


class _Door:
    """A Redis that may be away: then the answer is None, and it is left alone for a while."""

    def __init__(self, url: str, clock_s: Callable[[], float]) -> None:
        self._url = url
        self._clock_s = clock_s
        self._redis: redis.Redis | None = None
        self._away_until = float("-inf")

    def ask(self, call: "Callable[[redis.Redis], Any]") -> Any:
        if self._clock_s() < self._away_until or (self._redis is None and not self._is_there()):
            return None
        # A tenth of a second, which a command beside a desk that is off need not pay.
        from redis import RedisError

        try:
            if self._redis is None:
                self._redis = _connect(self._url)
            return call(self._redis)
        except RedisError:
            self._away_until = self._clock_s() + AWAY_S
            return None

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()

    def _is_there(self) -> bool:
        """Whether there can be a Redis: a desk that is off has no socket."""
        scheme, _, path = self._url.partition("://")
        return scheme != "unix" or Path(path.partition("?")[0]).exists()


def _connect(url: str) -> "redis.Redis":
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        protocol=2,
        # Once more, since a connection that was kept may be to a Redis that was started again.
        retry=Retry(NoBackoff(), 1),
    )
