"""Ctrl-C and SIGTERM as an event, so that a long command ends at a place where the next one can go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """For the length of a block: an event that Ctrl-C or SIGTERM sets.

    A second one raises `KeyboardInterrupt`, for whoever does not want to wait.
    """
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    old = {
        number: signal.signal(number, end)
        for number in (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is threading.main_thread()
    }
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
