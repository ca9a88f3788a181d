"""Requests that found Prefect's database busy are made again, before whoever asked hears of it.

Prefect begins its transactions on SQLite as readers, so that one that goes on to write while another has written fails
at once, whatever the database's patience, and the answer is 503. Prefect's own client tries again then; a form in a
browser does not, and nothing was wrong with it. (Source: measured, one of some thirty submissions beside two runs.)
"""

import asyncio
from collections.abc import Callable
from typing import Final

from flows.guard import Application, Message, Receive, Scope, Send

TRIES: Final = 6
PAUSE_S: Final = 0.05
"""Before the second try; doubled with each, and up to half as much again."""
BODY_BYTES: Final = 8 << 20
"""A request that is longer is made once: it would have to be held in memory."""
BUSY: Final = 503


class SecondTries:
    """Wraps the server's application."""

    def __init__(self, application: Application, draw: Callable[[], float]) -> None:
        """Begin.

        Args:
            application: Whose requests these are.
            draw: Draws from [0, 1), for the pauses' jitter.
        """
        self._application = application
        self._draw = draw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass anything else on."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        messages, whole = await _body(receive)
        if not whole:
            await self._application(scope, _replayed(messages, receive), send)
            return
        for count in range(1, TRIES + 1):
            answer = _Answer(send, last=count == TRIES)
            try:
                await self._application(dict(scope), _replayed(messages, receive), answer)
            except Exception:
                # The server answers first and then raises on, for the log.
                if not answer.busy:
                    raise
            if not answer.busy:
                return
            await asyncio.sleep(PAUSE_S * 2.0 ** (count - 1) * (1 + self._draw() / 2))


class _Answer:
    """What a try sends, but for a 503 that is not the last word."""

    def __init__(self, send: Send, *, last: bool) -> None:
        self._send = send
        self._last = last
        self.busy = False
        """Whether the database was busy, and the try can be followed by another."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == BUSY and not self._last:
            self.busy = True
        if not self.busy:
            await self._send(message)


async def _body(receive: Receive) -> tuple[list[Message], bool]:
    """What was received of a request, and whether that is all of it."""
    messages: list[Message] = []
    size = 0
    while size <= BODY_BYTES:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages, True
        size += len(message.get("body", b""))
    return messages, False


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """First what was received already, then what comes."""
    left = iter(messages)

    async def receiving() -> Message:
        for message in left:
            return message
        return await receive()

    return receiving
