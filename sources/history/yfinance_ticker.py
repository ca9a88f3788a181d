"""What is wanted of the yfinance library: one frame of a chart, its trouble turned into ours."""

import warnings
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from sources.history.provider import BadAnswer, NoKey, NotOffered, ProviderAway, QuotaSpent
from sources.history.rows import READ_ERRORS, shown

_PAUSE_S: Final = 300.0
"""How long to leave it alone when it says that we ask too often. Ours: it does not say."""
_TIMEOUT_S: Final = 30.0
_COLUMNS: Final = frozenset({"Open", "High", "Low", "Close", "Volume", "Dividends", "Stock Splits"})


class Split(NamedTuple):
    """A split by the first day that trades without it."""

    day: date
    ratio: float


class YahooChart:
    """Frames of Yahoo's charts. The library keeps one session in a process; this does not change that."""

    def __init__(self, now_ns: Callable[[], int], url: str | None = None) -> None:
        """Load the library, half a second with pandas; nothing is connected.

        Args:
            now_ns: The clock, for the moment until which a refusal holds.
            url: Another address than Yahoo's: a proxy that keeps its paths.

        Raises:
            NoKey: The library is not installed.
        """
        try:
            self._library = import_module("yfinance")
        except ImportError as error:
            msg = "yfinance needs the package of that name; install pocketquant[yahoo], or name another provider"
            raise NoKey(msg) from error
        self._errors = import_module("yfinance.exceptions")
        # It warns of what pandas will no longer do some day, which is not its users' business.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")
        # Else it prints what went wrong, and gives an empty frame.
        import_module("yfinance.config").YfConfig.debug.hide_exceptions = False
        self._now_ns = now_ns
        self._session = _session_to(url) if url else None

    def frame(self, name: str, interval: str, start: date, end: date) -> Any:
        """Rows with `start <= index < end`, on the exchange's clock; without any, an empty frame.

        Args:
            name: As Yahoo spells it.
            interval: `1m`, `1h`, `1d`.
            start: A date, or a moment with its zone.
            end: As `start`.

        Raises:
            NotOffered: No such symbol, or no such span of it.
            QuotaSpent: It says that we ask too often.
            ProviderAway: It does not answer.
            BadAnswer: Its answer cannot be read.
        """
        errors = self._errors
        try:
            frame = self._library.Ticker(name, session=self._session).history(
                interval=interval,
                start=start,
                end=end,
                prepost=False,
                actions=True,
                auto_adjust=False,
                back_adjust=False,
                repair=False,
                keepna=False,
                rounding=False,
                timeout=_TIMEOUT_S,
            )
        except errors.YFRateLimitError as error:
            msg = f"yfinance allows no call for {_PAUSE_S:.0f} s: {error}; try then, or name another provider"
            raise QuotaSpent(msg, self._now_ns() + int(_PAUSE_S * 1e9)) from error
        except errors.YFPricesMissingError as error:
            if error.yahoo_reason is None:
                return self._none()
            msg = f"yfinance does not have that: {_clipped(error)}; name another provider"
            raise NotOffered(msg) from error
        except errors.YFTickerMissingError as error:
            msg = f"yfinance has no symbol {name}: {_clipped(error)}; check its name, or name another provider"
            raise NotOffered(msg) from error
        except OSError as error:
            # What its HTTP library raises are these, too.
            msg = f"yfinance does not answer: {_clipped(error)}; check the connection, or name another provider"
            raise ProviderAway(msg) from error
        except (*READ_ERRORS, errors.YFException) as error:
            msg = f"yfinance answers with what cannot be read: {_clipped(error)}; name another provider"
            raise BadAnswer(msg) from error
        if not _COLUMNS.issubset(frame.columns) or (len(frame) and frame.index.tz is None):
            msg = f"yfinance answers with {shown(list(frame.columns))} where a chart is expected; name another provider"
            raise BadAnswer(msg)
        return frame

    @staticmethod
    def splits(frame: Any) -> list[Split]:
        """Splits of a frame of days, oldest first."""
        column = frame["Stock Splits"]
        return [Split(moment.date(), float(ratio)) for moment, ratio in column[column > 0].items()]

    def close(self) -> None:
        """Let go of the session, if it is ours."""
        if self._session is not None:
            self._session.close()

    @staticmethod
    def _none() -> Any:
        pandas = import_module("pandas")
        return pandas.DataFrame({name: [] for name in sorted(_COLUMNS)}, index=pandas.DatetimeIndex([], tz="UTC"))


def factor_after(splits: Sequence[Split], day: date) -> float:
    """Shares of today for one of that day: the product of the splits after it.

    >>> factor_after([Split(date(2014, 6, 9), 7.0), Split(date(2020, 8, 31), 4.0)], date(2020, 8, 28))
    4.0
    """
    factor = 1.0
    for split in splits:
        if split.day > day:
            factor *= split.ratio
    return factor


def _clipped(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _session_to(url: str) -> Any:
    """A session of the library's own kind that takes each call to another host."""
    base = url.rstrip("/")
    backend = import_module("curl_cffi.requests")

    class Elsewhere(backend.Session):  # type: ignore[misc, name-defined]
        def request(self, method: str, address: str = "", *args: Any, **options: Any) -> Any:
            parts = urlsplit(options.pop("url", None) or address)
            query = f"?{parts.query}" if parts.query else ""
            return super().request(method, f"{base}{parts.path}{query}", *args, **options)

    return Elsewhere()
