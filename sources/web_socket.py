"""A WebSocket whose messages are handed over while they are read: no queue, no task switch, no copy between.

What is not read stays in the kernel's buffers, so a slow reader slows the sender by TCP and loses nothing.

Nearly all that a venue sends are messages of one whole frame, and these are cut out of the stream here, at a sixth of
what websockets' parser takes for one. The handshake and every other frame are that parser's business, and it also gets
whatever is not as the protocol wants it, so that it is the one to say what is wrong and to close.
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
from websockets.protocol import Event, State

OPEN_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 20.0
"""A WebSocket ping this often; without its pong for as long again the connection is closed."""
_REFUSED: Final = frozenset({401, 403, 404, 410, 451})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HEAD_END: Final = b"\r\n\r\n"
_WHOLE_TEXT: Final = 0x81
_WHOLE_BINARY: Final = 0x82
"""First byte of a message of one frame, without extensions."""

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

    def __init__(self, protocol: ClientProtocol, *, on_message: OnMessage, longest: int, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._longest = longest
        self._on_message = on_message
        self._parts: list[bytes] = []
        self._text = True
        self._upgraded = False
        self._head_end = b""
        """Last bytes of a handshake that has not ended yet."""
        self._rest = b""
        """Beginning of a frame of which the rest has not come yet."""
        self._fragmented = False
        """Whether a message has begun that goes on in further frames."""
        self._strange = False
        """Something came that no venue should send: from there on the parser of websockets gets everything."""

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self._upgraded:
            self._cut(self._rest + data if self._rest else data)
            return
        seen = self._head_end + data
        place = seen.find(_HEAD_END)
        if place < 0:
            self._head_end = seen[1 - len(_HEAD_END) :]
            super().data_received(data)
            return
        # An answer other than 101 has a body, which is no frame.
        place += len(_HEAD_END) - len(self._head_end)
        super().data_received(data[:place])
        self._upgraded = True
        self._strange = self.protocol.state is not State.OPEN
        if place < len(data):
            self._cut(data[place:])

    def eof_received(self) -> None:
        """Take note that no more bytes will come."""
        rest, self._rest = self._rest, b""
        if rest:
            super().data_received(rest)
        super().eof_received()

    def _cut(self, data: bytes) -> None:
        """Take whole frames out of `data`, which begins with one, and keep what is left."""
        place, size = 0, len(data)
        on_message = self._on_message
        plain = not self._strange and not self._fragmented and self.protocol.state is State.OPEN
        while size - place >= 2 and not self._strange:
            head, length, start = data[place], data[place + 1], place + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[place + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(data[place + 2 : start], "big")
            elif length > 127:
                # Masked, which a server's frames must not be.
                self._strange = True
                break
            end = start + length
            if start <= size and length > self._longest:
                self._strange = True
                break
            if end > size:
                break
            if plain and head == _WHOLE_TEXT:
                try:
                    message: str | bytes = data[start:end].decode()
                except UnicodeDecodeError:
                    message = data[start:end]
                on_message(message)
            elif plain and head == _WHOLE_BINARY:
                on_message(data[start:end])
            else:
                if head & 0x08 == 0:
                    self._fragmented = head & 0x80 == 0
                super().data_received(data[place:end])
                plain = not self._fragmented and self.protocol.state is State.OPEN
            place = end
        if self._strange:
            self._rest = b""
            super().data_received(data[place:])
        else:
            self._rest = data[place:]

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
            create_connection=partial(WebSocket, on_message=on_message, longest=max_frame_bytes),  # type: ignore[arg-type]  # A factory of that class.
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
