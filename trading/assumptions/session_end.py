"""Session end: whether a position may be held overnight."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from trading.jit import compiles


class SessionEnd(BaseModel):
    """What happens to positions when the session is over; orders for the day expire in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    flat: bool = False
    """Close everything at the close of the session's last bar; at the next open, if that bar is missing."""

    def write(self, position: Any) -> None:
        """Into the terms of a `POSITION`."""
        position.overnight = not self.flat

    def __str__(self) -> str:
        return "positions are closed at the session's last close" if self.flat else "positions are held overnight"


@compiles
def overstayed(position: Any, bar: Any) -> bool:
    """Whether a position is still held though the session in which it was is over."""
    return bool(position.overnight == 0 and position.lots != 0 and bar.start >= position.session_end)


@compiles
def last_of_session(position: Any, bar: Any, session_end: int) -> bool:
    """Whether a position must be closed at this bar's close."""
    return bool(position.overnight == 0 and position.lots != 0 and bar.end >= session_end)
