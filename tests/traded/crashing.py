"""A paper book in which the process dies: at a write, before it counts or after."""

import random


class Crash(Exception):  # noqa: N818  # It stands for SIGKILL.
    """The process is no more."""


class CrashingBook:
    """A book whose n-th write never returns."""

    def __init__(self, book, rng: random.Random, writes: int) -> None:
        self._book = book
        self._rng = rng
        self._left = rng.randrange(1, writes)

    def __getattr__(self, name):
        method = getattr(self._book, name)
        if name not in {"write", "apply", "forget"}:
            return method

        def call(*values, **named):
            self._left -= 1
            if self._left == 0 and self._rng.random() < 0.5:
                raise Crash
            result = method(*values, **named)
            if self._left == 0:
                raise Crash
            return result

        return call
