"""Moments in sentences."""

from datetime import UTC, datetime


def iso(time_ns: int) -> str:
    """A moment for a sentence, to the second.

    >>> iso(1_767_225_600_999_999_999)
    '2026-01-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
