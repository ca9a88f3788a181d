"""A strategy with its parameters and its state, which is shown closed bars and says what it wants."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from market.errors import DeskError
from market.intervals import INTERVALS, Interval
from strategies.interface import EXPOSURE_MAX, REQUESTS_MAX, State, StrategyError
from strategies.loader.files import Strategy, plain
from strategies.loader.loops import COUNTS, compiled_loop
from strategies.loader.parameters import as_record, as_text, as_values
from strategies.loader.plain_loops import exposures_loop, requests_loop
from trading.records import ORDER, VIEW, Records

_DIGEST: Final = 32
_REQUESTS_ROOM: Final = 1024


class Requests(NamedTuple):
    """What a strategy that places orders asked for, bar by bar."""

    counts: NDArray[np.int64]
    """How many by bar; more than `REQUESTS_MAX` where it asked for too many, of which so many are kept."""

    orders: Records
    """`ORDER` requests of all bars in their order: `min(count, REQUESTS_MAX)` each."""


class Decider:
    """One state of one strategy. The same bars in the same order, in whatever portions, get the same decisions.

    Either `exposures` or `requests` is called, as `strategy.places_orders` says; both release the interpreter while
    compiled code runs, so that a caller can wait for them with a deadline in another thread. After an error the state
    is lost: restore a snapshot, or begin anew.
    """

    mode: str
    """`compiled` or `plain`."""

    why: str
    """Why it is plain; empty if it is compiled."""

    def __init__(
        self,
        strategy: Strategy,
        parameters: BaseModel,
        symbols: Sequence[str],
        interval: Interval,
        folder: Path,
        *,
        compiled: bool = True,
    ) -> None:
        """Begin.

        Args:
            strategy: Which.
            parameters: By `strategy.read_parameters`.
            symbols: Of the run, in the order of `VIEW.symbol`.
            interval: Of the run.
            folder: Of compiled loops; made where it is needed.
            compiled: Whether to compile if that can be; False is plain Python in any case.

        Raises:
            StrategyError: It needs other symbols or intervals, or its `needs` or `begin` goes wrong.
        """
        self.strategy = strategy
        self.parameters = parameters
        self.symbols = tuple(symbols)
        self.needs = strategy.needs(parameters)
        self.seen = 0
        """Bars shown so far."""
        further = self.needs.intervals or ()
        if interval in further:
            msg = f"strategy {strategy.name} sees {interval} besides its own interval, which is {interval} too"
            raise StrategyError(msg)
        decides_on = max(self.needs.together, len(self.needs.symbols or ()))
        if len(self.symbols) < decides_on:
            msg = f"strategy {strategy.name} decides on {decides_on} symbols together; the run has {len(self.symbols)}"
            raise StrategyError(msg)
        self.state = _begin(strategy, parameters)
        # The row in hand, the streams that are still warming up, the requests written; then the bars by stream.
        self._at = np.zeros(COUNTS + len(INTERVALS) * len(self.symbols), np.int64)
        self._at[1] = decides_on * (1 + len(further)) if self.needs.warm_up > 0 else 0
        self._record = as_record(parameters)
        self._values = as_values(parameters)
        self._requests = np.zeros(_REQUESTS_ROOM, ORDER)
        self._scratch = np.zeros(REQUESTS_MAX, ORDER)
        self._loop: Any
        self._loop, self.why = self._compiled(folder) if compiled else (None, "plain Python was asked for")
        self.mode = "plain" if self._loop is None else "compiled"

    def exposures(self, views: Records) -> NDArray[np.float64]:
        """The exposure wanted after each bar, as a fraction of the equity; NaN leaves the position as it is.

        Args:
            views: `VIEW` records of closed bars, in the order in which they closed.

        Raises:
            StrategyError: The strategy raised, or returned what is no exposure; says on which bar.
        """
        found = np.empty(len(views))
        done = self._run(views, self.needs.warm_up, found)
        if done < len(views):
            raise StrategyError(self._no_exposure(views, done, float(found[done])))
        return found

    def requests(self, views: Records) -> Requests:
        """The orders asked for after each bar.

        Args:
            views: `VIEW` records of closed bars, in the order in which they closed.

        Raises:
            StrategyError: The strategy raised, returned what is no number of orders, or ordered what the run does not
                trade; says on which bar.
        """
        counts = np.zeros(len(views), np.int64)
        parts: list[Records] = []
        done = 0
        while done < len(views):
            begun = done
            done += self._run(views[done:], counts[done:], self._requests, self._scratch)
            parts.append(self._requests[: self._at[2]].copy())
            self._check_symbols(views[begun:], counts[begun:], parts[-1]["symbol"])
            if done < len(views) and counts[done] < 0:
                msg = f"decide() returned {counts[done]} orders on {self._bar(views, done)}"
                raise StrategyError(self._of_strategy(msg))
        return Requests(counts, np.concatenate(parts) if parts else self._requests[:0])

    def snapshot(self) -> bytes:
        """All that has to be kept to go on later, as bytes."""
        arrays = [np.array([self.seen], np.int64), self._at, *self.state]
        return self._digest() + b"".join(array.tobytes() for array in arrays)

    def restore(self, kept: bytes) -> None:
        """Go on from a snapshot.

        Raises:
            StrategyError: It is of another strategy, of other parameters, or of a changed file.
        """
        seen = np.zeros(1, np.int64)
        arrays = [seen, self._at, *self.state]
        sizes = [array.nbytes for array in arrays]
        if kept[:_DIGEST] != self._digest() or len(kept) != _DIGEST + sum(sizes):
            msg = "the snapshot is of another strategy, of other parameters, or of a file that has changed since"
            raise StrategyError(self._of_strategy(msg))
        place = _DIGEST
        for array, size in zip(arrays, sizes, strict=True):
            array[...] = np.frombuffer(kept[place : place + size], array.dtype).reshape(array.shape)
            place += size
        self.seen = int(seen[0])

    def _check_symbols(self, views: Records, counts: NDArray[np.int64], symbols: NDArray[Any]) -> None:
        """Refuse an order of a symbol that the run does not trade."""
        unknown = (symbols < 0) | (symbols >= len(self.symbols))
        if not unknown.any():
            return
        first = int(unknown.argmax())
        row = int(np.searchsorted(np.minimum(counts, REQUESTS_MAX).cumsum(), first, side="right"))
        known = ", ".join(f"{place} {symbol}" for place, symbol in enumerate(self.symbols))
        msg = (
            f"decide() placed an order of symbol {symbols[first]} on {self._bar(views, row)}, and the run trades "
            f"{known}: give orders bar.symbol, or a place among these"
        )
        raise StrategyError(self._of_strategy(msg))

    def _run(self, views: Records, *rest: Any) -> int:
        """Show bars, and return how many were done."""
        try:
            if self._loop is not None:
                done: int = self._loop(views, self.state, self._record, *rest, self._at)
            else:
                with np.errstate(divide="raise", invalid="raise"):
                    loop: Any = requests_loop if self.strategy.places_orders else exposures_loop
                    decide = plain(self.strategy.module.decide)
                    done = loop(decide, views, self.state, self._values, *rest, self._at)
        except DeskError:
            raise
        except (Exception, SystemExit) as error:
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            msg = f"decide() raised {text} on {self._bar(views, int(self._at[0]))}"
            raise StrategyError(self._of_strategy(msg)) from error
        self.seen += done
        return done

    def _compiled(self, folder: Path) -> tuple[Any, str]:
        """The compiled loop, tried on no bars; or None and the reason why there is none."""
        import numba

        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return None, "Numba is switched off"
        loop = compiled_loop(self.strategy, len(self.state), folder)
        refused = Path(loop.py_func.__code__.co_filename).with_suffix(".plain")
        with suppress(OSError):
            return None, refused.read_text(encoding="utf-8")
        none: Any = np.zeros(0, VIEW)
        rest: tuple[Any, ...] = (self.needs.warm_up, np.zeros(0))
        if self.strategy.places_orders:
            rest = (np.zeros(0, np.int64), self._requests, self._scratch)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loop(none, self.state, self._record, *rest, self._at)
        except Exception as error:  # noqa: BLE001  # Numba refuses in many ways; plain Python says what is wrong, if it is.
            why = _why(error)
            with suppress(OSError):
                refused.write_text(why, encoding="utf-8")
            return None, why
        return loop, ""

    def _digest(self) -> bytes:
        shapes = [(array.dtype.str, array.shape) for array in self.state]
        text = f"{self.strategy.source_hash} {as_text(self.parameters)} {self.symbols} {shapes}"
        return sha256(text.encode()).digest()

    def _no_exposure(self, views: Records, row: int, value: float) -> str:
        where = self._bar(views, row)
        if value != value:  # noqa: PLR0124  # NaN is what does not equal itself.
            warm = f", after its warm-up of {self.needs.warm_up} bars" if self.needs.warm_up else ""
            return self._of_strategy(
                f"decide() returned NaN on {where}{warm}: return KEEP to leave the position as it is"
            )
        return self._of_strategy(
            f"decide() returned {value!r} on {where}: an exposure is -{EXPOSURE_MAX:g} to {EXPOSURE_MAX:g}, or KEEP"
        )

    def _bar(self, views: Records, row: int) -> str:
        """A bar as a user knows it."""
        view = views[row]
        end = datetime.fromtimestamp(int(view["end"]) // 10**9, UTC)
        place = int(view["symbol"])
        symbol = self.symbols[place] if place < len(self.symbols) else f"symbol {place}"
        interval = Interval(int(view["interval"]))
        return f"the {interval} bar of {symbol} that ended {end:%Y-%m-%dT%H:%M:%SZ}"

    def _of_strategy(self, text: str) -> str:
        return f"strategy {self.strategy.name}: {text}"


def _begin(strategy: Strategy, parameters: BaseModel) -> State:
    """The state before the first bar."""
    try:
        state = strategy.module.begin(parameters)
    except (Exception, SystemExit) as error:
        msg = f"strategy {strategy.name}: begin() raised {type(error).__name__}: {error}"
        raise StrategyError(msg) from error
    if not isinstance(state, tuple) or not all(
        isinstance(array, np.ndarray) and array.dtype.kind in "biufV" and not array.dtype.hasobject for array in state
    ):
        msg = f"strategy {strategy.name}: begin() returns a tuple of NumPy arrays of numbers; it is {state!r:.200}"
        raise StrategyError(msg)
    return tuple(np.array(array, order="C") for array in state)


def _why(error: Exception) -> str:
    """What Numba did not take, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Failed in", "During:", "File ", "<source", "This error"))]
    return " ".join((kept or [type(error).__name__])[:2])[:300]
