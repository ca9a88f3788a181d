"""How fresh the live pipeline is, by what its processes last said of themselves."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SILENT_S: Final = 30.0
"""A process that has written no status for so long has ended or hangs; each writes one a second."""
LAG_S: Final = 60.0
"""Bars that are so far behind the journal are late."""


class Sign(NamedTuple):
    """One thing that was looked at."""

    what: str
    value: str
    trouble: str = ""
    """What is wrong, as a sentence; empty if nothing is."""


def look(statuses: Mapping[str, Mapping[str, Any] | None], *, now_ns: int, stale_s: float) -> list[Sign]:
    """The signs of life of ingest and bars.

    Args:
        statuses: Of `ingest` and `bars`, as in their status files; None where there is none.
        now_ns: The present moment.
        stale_s: Silence of a feed that is trouble.
    """
    signs = []
    for name in ("ingest", "bars"):
        age = _age_s(statuses.get(name), "written_ns", now_ns)
        if age is None:
            signs.append(Sign(name, "no status", f"{name} does not run"))
        else:
            hangs = f"{name} said nothing for {age:.0f} s: it has ended or hangs" if age > SILENT_S else ""
            signs.append(Sign(name, f"{age:.0f} s ago", hangs))
    signs += [_feed(feed, now_ns, stale_s) for feed in (statuses.get("ingest") or {}).get("feeds", [])]
    lag = ((statuses.get("bars") or {}).get("journal") or {}).get("lag_ms")
    if lag is not None:
        late = f"bars are {lag / 1000:.0f} s behind the journal" if lag / 1000 > LAG_S else ""
        signs.append(Sign("bars behind", f"{lag / 1000:.1f} s", late))
    return signs


def _feed(feed: Mapping[str, Any], now_ns: int, stale_s: float) -> Sign:
    name, state = feed.get("name", ""), feed.get("state", "")
    age = _age_s(feed, "last_message_ns", now_ns)
    said = f"last message {age:.0f} s ago" if age is not None else "no message yet"
    trouble = ""
    if state != "up":
        trouble = f"feed {name} is {state}: {feed.get('last_error') or said}"
    elif age is not None and age > stale_s:
        trouble = f"feed {name} said nothing for {age:.0f} s"
    return Sign(f"feed {name}", f"{state}, {feed.get('rate') or 0:.1f} ticks/s, {said}", trouble)


def _age_s(document: Mapping[str, Any] | None, key: str, now_ns: int) -> float | None:
    then = (document or {}).get(key)
    return max(0, now_ns - then) / 1e9 if isinstance(then, int) else None
