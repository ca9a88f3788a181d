"""Which live feed can be reached from here, without a key."""

import asyncio
import queue
import threading
import time
from collections.abc import Mapping
from typing import Final

from sources.venues import make_feed
from sources.web_socket import ConnectError, open_web_socket

KEYLESS: Final = ("coinbase", "kraken", "binance")
"""In the order of preference."""
FALLBACK: Final = "sim"


def choose_feed(timeout_s: float = 3.0, urls: Mapping[str, str] | None = None) -> str:
    """Try the venues that need no key, all at once, one connect each.

    Args:
        timeout_s: For all of it.
        urls: Addresses by venue, in place of the venues' own; a venue that is not in it is not tried.

    Returns:
        The first in the order of preference that answers; `sim`, the simulated exchange, where none does in time.
    """
    chosen = {name: make_feed(name).urls()[0] for name in KEYLESS} if urls is None else urls
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    # In a thread that nobody waits for: a name server that does not answer holds up the end of an event loop.
    threading.Thread(target=lambda: found.put(asyncio.run(_choose(timeout_s, chosen))), daemon=True).start()
    try:
        return found.get(timeout=timeout_s)
    except queue.Empty:
        return FALLBACK


async def _choose(timeout_s: float, urls: Mapping[str, str]) -> str:
    # A little less than all of it, so that what has answered by then is still told in time.
    deadline = time.monotonic() + 0.9 * timeout_s
    order = [name for name in KEYLESS if name in urls]
    attempts = {name: asyncio.ensure_future(_answers(name, urls[name], timeout_s)) for name in order}
    try:
        for name in order:
            # One that is preferred is waited for as long as there is time, whoever else has answered.
            left_s = max(deadline - time.monotonic(), 0.0)
            done, _ = await asyncio.wait({attempts[name]}, timeout=left_s)
            if done and attempts[name].result():
                return name
    finally:
        for attempt in attempts.values():
            attempt.cancel()
        if attempts:
            await asyncio.wait(set(attempts.values()), timeout=0.1)
    return FALLBACK


async def _answers(name: str, url: str, timeout_s: float) -> bool:
    """Whether a WebSocket can be opened there."""
    try:
        socket = await open_web_socket(url, lambda _: None, headers=make_feed(name).headers(), open_timeout_s=timeout_s)
    except ConnectError:
        return False
    socket.transport.abort()
    return True
