"""Time that passes as fast as the work in it is done: an event loop over real sockets, whose sleeps take no time.

Where nothing is ready the loop's clock jumps to the next timer. While a thread is at work for the test, the clock goes
as the wall's does, so that what the thread takes is part of the measurement.
"""

import asyncio
import selectors
import threading
import time
from contextlib import contextmanager


class VirtualTime:
    """ns since 1970; moved by its loop alone."""

    def __init__(self, start_ns):
        self.start_ns = self._now_ns = start_ns
        self.busy = lambda: False
        """Whether a thread has to catch up before time may jump."""
        self._threads = 0
        self._guard = threading.Lock()

    def now_ns(self):
        """Ns since 1970."""
        return self._now_ns

    def since_start_ns(self):
        """Ns since it began."""
        return self._now_ns - self.start_ns

    def seconds(self):
        """Seconds since it began."""
        return self.since_start_ns() / 1e9

    def advance(self, ns):
        """Move on."""
        self._now_ns += max(0, int(ns))

    @property
    def held(self):
        """Whether time goes as the wall's does."""
        return self._threads > 0 or self.busy()

    @contextmanager
    def work(self):
        """Of a thread: time does not jump meanwhile."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, by):
        with self._guard:
            self._threads += by

    def sleep_in_thread(self, loop, seconds):
        """What a thread at work waits with: time may jump until it is over."""
        over = threading.Event()
        loop.call_soon_threadsafe(loop.call_later, seconds, self._wake, over)
        self._count(-1)
        assert over.wait(60), "the loop has stopped"

    def _wake(self, over):
        # Held again before the thread knows of it, so that no time is lost in between.
        self._count(1)
        over.set()


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock):
        super().__init__()
        self._clock = clock

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._clock.held or timeout is None:
            began = time.perf_counter_ns()
            ready = super().select(min(0.001, timeout or 0.001))
            self._clock.advance(time.perf_counter_ns() - began)
            return ready
        self._clock.advance(timeout * 1e9 + 1)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock):
        super().__init__(_Selector(clock))
        self._virtual = clock

    def time(self):
        return self._virtual.seconds()


def run_in(clock, coroutine):
    """Run a coroutine to its end in the clock's time."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(coroutine)
