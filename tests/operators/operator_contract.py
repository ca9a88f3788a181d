"""What every stateful operator must hold to: resumable anywhere, deterministic, and it mutates nothing it was given.

An operator under test is made by `new()` and by `restore(snapshot)`; it has `step(item)`, which returns something that
compares with `==`, and `snapshot()`, which returns bytes or another immutable value.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol

import numpy as np


class Operator(Protocol):
    """Anything with a state."""

    def step(self, item: Any) -> Any:
        """Take in one item."""

    def snapshot(self) -> Any:
        """All of the state."""


def assert_resumable(
    new: Callable[[], Operator], restore: Callable[[Any], Operator], items: Sequence[Any], cut: int
) -> None:
    """Stopping after `cut` items and going on from the snapshot changes neither output nor final state."""
    whole = new()
    expected = [whole.step(item) for item in items]
    first = new()
    outputs = [first.step(item) for item in items[:cut]]
    second = restore(first.snapshot())
    outputs += [second.step(item) for item in items[cut:]]
    assert outputs == expected
    assert second.snapshot() == whole.snapshot()


def assert_deterministic(new: Callable[[], Operator], items: Sequence[Any]) -> None:
    """Two runs give the same outputs and the same state, and taking snapshots on the way changes nothing."""
    plain, watched = new(), new()
    for item in items:
        assert plain.step(item) == watched.step(item)
        watched.snapshot()
    assert plain.snapshot() == watched.snapshot()


def assert_mutates_nothing(new: Callable[[], Operator], items: Sequence[Any]) -> None:
    """Neither the items nor earlier outputs and snapshots change when later items are taken in."""
    operator = new()
    kept = []
    for item in items:
        before = deepcopy(item)
        kept.append((output := operator.step(item), deepcopy(output)))
        kept.append((state := operator.snapshot(), deepcopy(state)))
        assert same(item, before)
    assert all(now == then for now, then in kept)


def same(one: Any, other: Any) -> bool:
    """Equality that looks into tuples and arrays."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
