"""HTTP answers of the exchange, and how it reads a request's numbers."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from market.errors import DeskError


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    reset: bool = False
    """Whether the connection is reset after half of the body."""

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Self:
        """A JSON answer."""
        return cls(status, json.dumps(value, separators=(",", ":")).encode())

    @classmethod
    def error(cls, status: int, text: str) -> Self:
        """A refusal, in a sentence."""
        return cls.of({"error": text}, status)


def whole(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of the query, >= 0.

    Raises:
        DeskError: It is none.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        msg = f"{name} is a whole number (times in ns since 1970 UTC), got {text!r}"
        raise DeskError(msg)
    return int(text)
