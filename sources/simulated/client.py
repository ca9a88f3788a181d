"""For whoever drives a simulated exchange: send it faults, ask for its truth."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from sources.simulated.klines import KLINE
from sources.simulated.tape import MADE


def control(url: str, command: Any, timeout_s: float = 30.0) -> dict[str, Any]:
    """Send a fault (`{"kind": "drop"}`, or a list), `{"kind": "clear"}` or `{"kind": "advance", "seconds": 60}`.

    Args:
        url: Of the server, `ws://` or `http://`, without a path.
        command: What `Exchange.command` takes.
        timeout_s: For the answer.

    Raises:
        DeskError: The exchange refused it; its sentence.
    """
    answer: dict[str, Any] = json.loads(_call(url, "/control", json.dumps(command).encode(), timeout_s))
    return answer


def get(url: str, path: str, timeout_s: float = 30.0, **query: Any) -> dict[str, Any]:
    """What `path` says (`/health`, `/truth/summary`, `/truth/bars`, ...), decoded.

    Raises:
        DeskError: The exchange refused the request; its sentence.
    """
    answer: dict[str, Any] = json.loads(_call(url, f"{path}?{urlencode(query)}", None, timeout_s))
    return answer


def truth_ticks(url: str, symbol: str, after_id: int = 0, timeout_s: float = 60.0) -> NDArray[np.void]:
    """Every tick of a symbol that the exchange made and still knows, as `MADE` records in order of id."""
    query = urlencode({"symbol": symbol, "after_id": after_id, "format": "binary"})
    return np.frombuffer(_call(url, f"/truth/ticks?{query}", None, timeout_s), MADE)


def true_bars(
    url: str, symbol: str, interval: str, start: int = 0, end: int | None = None, timeout_s: float = 120.0
) -> NDArray[np.void]:
    """Bars that start in `[start, end)` (ns) as they truly are, of any of the 13 intervals: `KLINE` records.

    Whatever faults are on, and without counting as served: what a test compares with.
    """
    span = {"start": start} | ({} if end is None else {"end": end})
    query = urlencode({"symbol": symbol, "interval": interval, **span})
    return np.frombuffer(_call(url, f"/truth/history?{query}", None, timeout_s), KLINE)


def _call(url: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
    request = Request("http://" + url.split("://", 1)[-1].rstrip("/") + path, data=body)
    try:
        with urlopen(request, timeout=timeout_s) as response:  # noqa: S310  (as above)
            content: bytes = response.read()
            return content
    except HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        try:
            reason = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            reason = text[:200]
        msg = f"simulated exchange at {url}: {reason}"
        raise DeskError(msg) from error
