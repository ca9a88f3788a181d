"""A WebSocket whose messages are handed over while they are read: no queue, no task switch, no copy between.

What is not read stays in the kernel's buffers, so a slow reader slows the sender by TCP and loses nothing.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

OPEN_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 20.0
"""A WebSocket ping this often; without its pong for as long again the connection is closed."""
_REFUSED: Final = frozenset({401, 403, 404, 410, 451})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

OnMessage = Callable[[str | bytes], None]


class ConnectError(Exception):
    """A connection that could not be opened; the message says to where and why."""

    def __init__(self, text: str, *, refused: bool = False, retry_after: str | None = None) -> None:
        super().__init__(text)
        self.refused = refused
        """The venue will not have us (451, 403, a certificate that is not its own): another address may."""
        self.retry_after = retry_after
        """The venue's Retry-After header, with 429 and 503."""


class WebSocket(ClientConnection):
    """A client connection that calls `on_message` for each message as soon as its bytes are there.

    `recv()` has nothing to give. A text message that is not UTF-8 is handed over as bytes: it is the parser that
    refuses it, and the connection goes on.
    """

    def __init__(self, protocol: ClientProtocol, *, on_message: OnMessage, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._on_message = on_message
        self._parts: list[bytes] = []
        self._text = True

    def process_event(self, event: Event) -> None:
        """Take one event of the protocol; called by websockets with whole frames, in order."""
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        opcode = event.opcode
        if opcode is Opcode.TEXT:
            if event.fin:
                try:
                    message: str | bytes = str(event.data, "utf-8")
                except UnicodeDecodeError:
                    message = bytes(event.data)
                self._on_message(message)
                return
            self._begin(event, text=True)
        elif opcode is Opcode.BINARY:
            if event.fin:
                self._on_message(bytes(event.data))
                return
            self._begin(event, text=False)
        elif opcode is Opcode.CONT:
            # The protocol has checked that the first part came, and that all parts together are not too long.
            self._parts.append(bytes(event.data))
            if event.fin:
                self._finish()
        else:
            super().process_event(event)

    def _begin(self, event: Frame, *, text: bool) -> None:
        self._parts = [bytes(event.data)]
        self._text = text

    def _finish(self) -> None:
        whole = b"".join(self._parts)
        self._parts = []
        try:
            self._on_message(whole.decode() if self._text else whole)
        except UnicodeDecodeError:
            self._on_message(whole)


async def open_web_socket(
    url: str,
    on_message: OnMessage,
    *,
    headers: Mapping[str, str] | None = None,
    max_frame_bytes: int = 4 << 20,
    tls: ssl.SSLContext | None = None,
    open_timeout_s: float = OPEN_TIMEOUT_S,
) -> WebSocket:
    """Connect and shake hands.

    Args:
        url: `wss://...`, or `ws://` for loopback.
        on_message: Called in the event loop for each message, in order; must not raise.
        headers: Sent with the upgrade.
        max_frame_bytes: A longer message closes the connection (code 1009).
        tls: For `wss`; a default context, which checks certificate and host name, unless given.
        open_timeout_s: For TCP, TLS and the upgrade together.

    Raises:
        ConnectError: It could not be opened.
    """
    parts = urlsplit(url)
    options: dict[str, Any] = {}
    if parts.scheme == "wss":
        options["ssl"] = ssl.create_default_context() if tls is None else tls
    if parts.hostname in _LOOPBACK:
        options["proxy"] = None
    try:
        socket = await connect(
            url,
            create_connection=partial(WebSocket, on_message=on_message),  # type: ignore[arg-type]  # A factory of that class.
            additional_headers=dict(headers or {}),
            # Market data is short messages: to unpack each costs more than it saves.
            compression=None,
            max_size=max_frame_bytes,
            open_timeout=open_timeout_s,
            ping_interval=KEEPALIVE_S,
            ping_timeout=KEEPALIVE_S,
            close_timeout=2.0,
            **options,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        msg = f"{parts.hostname} answered {status} {error.response.reason_phrase}".rstrip()
        raise ConnectError(
            msg, refused=status in _REFUSED, retry_after=error.response.headers.get("Retry-After")
        ) from error
    except ssl.SSLCertVerificationError as error:
        msg = f"{parts.hostname} showed a certificate that is not to be trusted: {error.verify_message}"
        raise ConnectError(msg, refused=True) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
        msg = f"{parts.hostname} cannot be reached: {error or type(error).__name__}"
        raise ConnectError(msg) from error
    assert isinstance(socket, WebSocket)
    return socket
