"""Which ticks of a batch are whose: their places by shard, found once a batch."""

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.streams import SHARDS
from operators.jit import njit
from operators.memory import Records


@njit
def split(ticks: Records, shard_of: NDArray[np.uint8], order: NDArray[np.uint32], counts: NDArray[np.int64]) -> int:
    """Sort the places of ticks by shard, keeping their order.

    Args:
        ticks: `TICK` records.
        shard_of: Shard by stream id.
        order: (shards, at least len(ticks)); row s gets the places of shard s's ticks, rising.
        counts: (shards,), zeros; entry s gets how many.

    Returns:
        -1, or the id of a stream that `shard_of` does not reach.
    """
    for place in range(len(ticks)):
        stream = ticks[place].stream
        if stream >= len(shard_of):
            return int(stream)
        shard = shard_of[stream]
        count = counts[shard]
        order[shard, count] = place
        counts[shard] = count + 1
    return -1


def places_by_shard(ticks: NDArray[np.void], shard_of: NDArray[np.uint8]) -> list[NDArray[np.uint32]]:
    """Places of each shard's ticks in a batch.

    Args:
        ticks: `TICK` records, contiguous.
        shard_of: Shard by stream id, 0 to 7.

    Returns:
        One rising array of uint32 a shard: what the bar kernel takes as `order`.

    Raises:
        DeskError: A tick names a stream that `shard_of` does not reach.
    """
    from operators.kernels import kernels

    order = np.empty((SHARDS, len(ticks)), np.uint32)
    counts = np.zeros(SHARDS, np.int64)
    unknown = kernels().split(ticks, shard_of, order, counts)
    if unknown >= 0:
        msg = f"a tick names stream {unknown}, and the journal knows {len(shard_of)} streams; run pq verify"
        raise DeskError(msg)
    return [places[:count] for places, count in zip(order, counts.tolist(), strict=True)]
