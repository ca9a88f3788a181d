"""Times at the edge: ISO 8601 in UTC, to the nanosecond where there are any."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND_NS: Final = 10**9

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)


class TimeError(ValueError):
    """A text that is no time; the message names the rule."""


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 UTC of an ISO 8601 time; without a zone it is UTC, and a date alone is midnight.

    Raises:
        TimeError: The text has another form, or names no moment (the 31st of February).

    >>> parse_time("2026-01-02T03:04:05.000000001Z") - parse_time("2026-01-02")
    11045000000001
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        msg = f"time {text!r} is not ISO 8601, such as 2026-01-02 or 2026-01-02T03:04:00Z"
        raise TimeError(msg)
    zone = (found["zone"] or "Z").upper()
    clock = found["time"] or "00:00"
    try:
        moment = datetime.fromisoformat(f"{found['date']}T{clock}{'+00:00' if zone == 'Z' else zone}")
    except ValueError as error:
        msg = f"time {text!r} is none: {error}"
        raise TimeError(msg) from error
    since = moment - _EPOCH
    fraction = int((found["fraction"] or "").ljust(9, "0"))
    return (since.days * 86_400 + since.seconds) * SECOND_NS + fraction


def format_time(time_ns: int) -> str:
    """ISO 8601 with `Z`; the fraction has no more digits than it needs, in threes.

    >>> format_time(1_767_322_800_000_000_000), format_time(1_767_322_800_120_000_000), format_time(-1)
    ('2026-01-02T03:00:00Z', '2026-01-02T03:00:00.120Z', '1969-12-31T23:59:59.999999999Z')
    """
    seconds, fraction = divmod(time_ns, SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    if not fraction:
        return f"{text}Z"
    digits = f"{fraction:09}"
    if digits.endswith("000000"):
        digits = digits[:3]
    elif digits.endswith("000"):
        digits = digits[:6]
    return f"{text}.{digits}Z"


def format_span(seconds: float) -> str:
    """A duration for people: its two largest parts.

    >>> format_span(0.25), format_span(59), format_span(3725), format_span(200_000)
    ('250 ms', '59 s', '1 h 2 m', '2 d 7 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, part, smaller in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {part}"
    raise AssertionError


def format_bytes(size: float) -> str:
    """A size for people.

    >>> format_bytes(512), format_bytes(1_500_000)
    ('512 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
