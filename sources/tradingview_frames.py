"""TradingView's framing: `~m~<length>~m~<payload>`, several in one WebSocket message, heartbeats among them.

The length counts JavaScript's characters, UTF-16 units: a letter beyond the basic plane counts twice. Payloads are cut
out by length, never searched for, since their strings may contain the marker itself; only where a length is wrong is
the next marker looked for, so that one damaged frame does not take the others with it.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER: Final = re.compile(r"~m~([0-9]{1,9})~m~")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
HEARTBEAT: Final = "~h~"


class Frame(NamedTuple):
    """One payload, or the reason why there is none."""

    payload: str
    """The content; of a damaged frame, what was there in its place."""

    fault: str
    """Empty for a whole frame; else what is wrong with it, with the numbers."""


def utf16_length(text: str) -> int:
    """Length as JavaScript counts it.

    >>> utf16_length("abc"), utf16_length("€"), utf16_length("🙂")
    (3, 1, 2)
    """
    return len(text) + len(_ASTRAL.findall(text))


def encode_frame(payload: str) -> str:
    """One payload as it goes over the wire.

    >>> encode_frame("~h~1")
    '~m~4~m~~h~1'
    """
    return f"~m~{utf16_length(payload)}~m~{payload}"


def split_frames(message: str) -> Iterator[Frame]:
    """The frames in one WebSocket message, damaged ones marked as such. Never raises.

    A length is believed when it ends at the message's end or at another header. One that does not is a fault, and
    reading goes on at the next header, if there is any.

    >>> list(split_frames("~m~4~m~~h~1~m~2~m~{}"))
    [Frame(payload='~h~1', fault=''), Frame(payload='{}', fault='')]
    """
    start = 0
    while start < len(message):
        header = _HEADER.match(message, start)
        if not header:
            end = _next_header(message, start)
            yield Frame(message[start:end], f"no ~m~length~m~ at character {start}")
            start = end
            continue
        length, body = int(header[1]), header.end()
        whole = _end(message, body, length)
        if whole is not None and (whole == len(message) or _HEADER.match(message, whole)):
            yield Frame(message[body:whole], "")
            start = whole
            continue
        following = _next_header(message, body)
        present = utf16_length(message[body:following])
        yield Frame(message[body:following], f"declares {length} characters and has {present}")
        start = following


def resume_within(payload: str) -> str | None:
    """What may be whole frames inside a payload that is unreadable because its length reached too far.

    None if there is no header in it.
    """
    start = _next_header(payload, 0)
    return payload[start:] if start < len(payload) else None


def _next_header(message: str, start: int) -> int:
    found = _HEADER.search(message, start)
    return found.start() if found else len(message)


def _end(message: str, body: int, length: int) -> int | None:
    """Where `length` UTF-16 units after `body` end; None where the message does not hold them or a letter is cut."""
    end = body + length
    if not _ASTRAL.search(message, body, end):
        return end if end <= len(message) else None
    place = body
    while length > 0 and place < len(message):
        length -= 2 if message[place] > "\uffff" else 1
        place += 1
    return place if length == 0 else None
