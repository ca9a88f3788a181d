"""The WebSocket: messages come whole and in order however the network cuts them, and what is wrong ends it."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from sources.web_socket import WebSocket

LONGEST = 70_000


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def can_write_eof(self) -> bool:
        """No."""
        return False

    def is_closing(self) -> bool:
        """No."""
        return False

    def close(self) -> None:
        """Nothing to close."""


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def received(stream: bytes, cuts: Sequence[int]) -> tuple[list[str | bytes], WebSocket, Wire]:
    """What a socket hands over when the handshake's answer and then `stream` come cut at these places."""

    async def take() -> tuple[list[str | bytes], WebSocket, Wire]:
        messages: list[str | bytes] = []
        client = ClientProtocol(parse_uri("ws://localhost/"), max_size=LONGEST)
        socket = WebSocket(client, on_message=messages.append, longest=LONGEST)
        wire = Wire()
        socket.connection_made(wire)
        client.send_request(client.connect())
        answered = answer(b"".join(client.data_to_send()))
        whole = answered + stream
        ends = sorted({cut % (len(whole) + 1) for cut in cuts} | {len(whole)})
        begin = 0
        for place in ends:
            if place > begin:
                socket.data_received(whole[begin:place])
                begin = place
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return messages, socket, wire

    return asyncio.run(take())


def answer(request: bytes) -> bytes:
    server = ServerProtocol()
    server.receive_data(request)
    (event,) = server.events_received()
    assert isinstance(event, Request)
    server.send_response(server.accept(event))
    return b"".join(server.data_to_send())


part = st.one_of(
    st.text(max_size=200).map(lambda text: (frame(Opcode.TEXT, text.encode()), [text])),
    st.binary(max_size=200).map(lambda data: (frame(Opcode.BINARY, data), [data])),
    st.integers(100, 68_000).map(lambda n: (frame(Opcode.TEXT, b"x" * n), ["x" * n])),
    st.binary(max_size=20).map(lambda data: (frame(Opcode.PING, data), [])),
    st.lists(st.text(max_size=50), min_size=1, max_size=4).map(
        lambda texts: (
            b"".join(
                frame(Opcode.CONT if i else Opcode.TEXT, text.encode(), fin=i == len(texts) - 1)
                # A ping may come between the parts of a message.
                + frame(Opcode.PING, b"")
                for i, text in enumerate(texts)
            ),
            ["".join(texts)],
        )
    ),
)


@given(st.lists(part, max_size=8), st.lists(st.integers(0, 100_000), max_size=12))
def test_messages_come_whole_and_in_order_wherever_the_network_cuts_them(parts, cuts):
    """TCP keeps no borders: a chunk may end in a header, and the first one may hold more than the handshake."""
    messages, socket, _ = received(b"".join(wire for wire, _ in parts), cuts)

    assert messages == [message for _, expected in parts for message in expected]
    assert socket.protocol.state is State.OPEN


@given(st.lists(st.integers(0, 1000), max_size=5))
def test_text_that_is_not_utf8_is_handed_over_as_bytes(cuts):
    """The parser refuses it by name, and the feed goes on."""
    stream = frame(Opcode.TEXT, b"\xff\xfe") + frame(Opcode.TEXT, b"next")

    assert received(stream, cuts)[0] == [b"\xff\xfe", "next"]


@given(st.lists(st.integers(0, 100_000), max_size=5))
def test_what_breaks_the_protocol_ends_the_connection_after_what_was_good(cuts):
    """Too long, masked, reserved bits, a new message inside another: the close code says which, and no message."""
    good = frame(Opcode.TEXT, b"good")
    for bad, code in (
        (frame(Opcode.TEXT, b"x" * (LONGEST + 1)), 1009),
        (frame(Opcode.TEXT, b"masked", mask=True), 1002),
        (b"\xc1\x01x", 1002),
        (frame(Opcode.TEXT, b"begun", fin=False) + good, 1002),
        (frame(Opcode.CONT, b"of nothing"), 1002),
    ):
        messages, socket, _ = received(good + bad + good, cuts)

        assert messages == ["good"]
        assert socket.protocol.state is State.CLOSING
        assert socket.protocol.close_sent is not None
        assert socket.protocol.close_sent.code == code


def test_pings_are_answered_and_nothing_is_taken_after_a_close():
    """The venue's goodbye ends it; what it still had in its buffers is no trade any more."""
    close = frame(Opcode.CLOSE, (1001).to_bytes(2, "big"))
    stream = frame(Opcode.PING, b"hey") + frame(Opcode.TEXT, b"1") + close + frame(Opcode.TEXT, b"2")

    messages, socket, wire = received(stream, [])

    assert messages == ["1"]
    assert wire.written[:2] == b"\x8a\x83"
    assert socket.protocol.close_rcvd is not None
    assert socket.protocol.close_rcvd.code == 1001
