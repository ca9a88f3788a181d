"""Which combinations a sweep tries: all of a grid, some by chance, or such as are near those that did well (TPE)."""

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel

from backtest.space import Axis, Space, worded
from market.errors import DeskError
from strategies.interface import StrategyError
from strategies.loader.files import Strategy

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

How = Literal["grid", "random", "tpe"]

GRID_MAX: Final = 100_000
"""Combinations that are tried at most."""
AT_ONCE: Final = 8
"""Combinations that TPE chooses before it is told what came of them: whatever the number of cores, so that they are the
same on any machine."""
MISSES: Final = 50
"""Combinations, refused or tried before, that may be drawn for each that is tried."""


class Refusals(NamedTuple):
    """Combinations that the strategy's own rules do not take."""

    number: int
    examples: tuple[str, ...]
    """Of some of them why."""


class Search(Protocol):
    """Chooses combinations, a batch at a time."""

    def batch(self) -> list[BaseModel]:
        """The next ones, by `strategy.read_parameters`; none when it is over."""
        ...

    def learn(self, values: Sequence[float]) -> None:
        """What came of the last batch, one by one: the higher the better, NaN for nothing."""
        ...

    @property
    def refused(self) -> Refusals:
        """Those that were not taken so far."""
        ...


def begin_search(space: Space, strategy: Strategy, how: How, trials: int, seed: int) -> Search:
    """Begin.

    Args:
        space: What may be tried.
        strategy: Whose rules say which combinations are none.
        how: `grid`, `random` or `tpe`.
        trials: How many are tried by the last two.
        seed: Of chance.

    Raises:
        DeskError: There is nothing to choose from, or too much.
    """
    if not space.axes:
        ranged = next((one for one in strategy.described if one.kind in {int, float}), None)
        example = "" if ranged is None else f": give one a range, such as --param {ranged.name}=5:50:5"
        msg = f"nothing to sweep: every parameter of {strategy.name} has one value{example}"
        raise DeskError(msg)
    if trials < 1 or trials > GRID_MAX:
        msg = f"trials must be 1 to {GRID_MAX:,}, and are {trials:,}"
        raise DeskError(msg)
    if how == "tpe":
        return _Tpe(space, strategy, trials, seed)
    if how == "random":
        return _Listed(space.at_random(seed), strategy, trials)
    listed = space.grid()
    if (space.size or 0) > GRID_MAX:
        msg = (
            f"the grid has {space.size:,} combinations, more than {GRID_MAX:,}: give it longer steps, or use "
            "--search random or tpe with --trials"
        )
        raise DeskError(msg)
    return _Listed(listed, strategy, GRID_MAX)


class _Taken:
    """Combinations that the strategy takes, and a count of those that it does not."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self._count = 0
        self._examples: list[str] = []

    def read(self, values: dict[str, Any]) -> BaseModel | None:
        """The parameters; None where they are refused."""
        try:
            return self._strategy.read_parameters(values)
        except StrategyError as error:
            self._count += 1
            if len(self._examples) < 3:
                self._examples.append(str(error).removeprefix(f"strategy {self._strategy.name}: "))
            return None

    @property
    def refused(self) -> Refusals:
        """So far."""
        return Refusals(self._count, tuple(self._examples))

    def none(self) -> DeskError:
        """The error of a search that found none."""
        msg = f"strategy {self._strategy.name} takes none of the combinations: {'; '.join(self._examples[:1])}"
        return DeskError(msg)


class _Listed:
    """All that are listed, up to a number, in one batch."""

    def __init__(self, listed: Iterator[dict[str, Any]], strategy: Strategy, most: int) -> None:
        self._taken = _Taken(strategy)
        self._left: Iterator[dict[str, Any]] | None = listed
        self._most = most

    def batch(self) -> list[BaseModel]:
        """See `Search`."""
        found: list[BaseModel] = []
        if self._left is None:
            return found
        misses = 0
        for values in self._left:
            made = self._taken.read(values)
            if made is not None:
                found.append(made)
            misses += made is None
            if len(found) == self._most or misses > max(MISSES * self._most, GRID_MAX):
                break
        self._left = None
        if not found:
            raise self._taken.none()
        return found

    def learn(self, values: Sequence[float]) -> None:
        """Nothing is made of it."""

    @property
    def refused(self) -> Refusals:
        """See `Search`."""
        return self._taken.refused


class _Tpe:
    """Optuna's tree-structured Parzen estimator.

    Source: Bergstra, Bardenet, Bengio, Kégl: Algorithms for Hyper-Parameter Optimization, NeurIPS 2011.
    """

    def __init__(self, space: Space, strategy: Strategy, trials: int, seed: int) -> None:
        import warnings

        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._taken = _Taken(strategy)
        self._space = space
        self._trials = trials
        self._chosen = 0
        self._pending: list[Any] = []
        self._values: dict[str, float] = {}
        self._keys: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # What is being tried counts as bad, so that a batch is not eight times the same.
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._failed = optuna.trial.TrialState.FAIL
        self._axes: dict[str, BaseDistribution] = {axis.name: _distribution(axis) for axis in space.axes}

    def batch(self) -> list[BaseModel]:
        """See `Search`."""
        found: list[BaseModel] = []
        misses = 0
        size = self._space.size
        while len(found) < AT_ONCE and self._chosen < self._trials and misses <= MISSES * AT_ONCE:
            if size is not None and len(self._values) + len(self._keys) >= size:
                break
            trial = self._study.ask(self._axes)
            values = {axis.name: _value(axis, trial.params[axis.name]) for axis in self._space.axes}
            key = worded(values)
            if key in self._values or key in self._keys:
                misses += 1
                known = self._values.get(key, float("nan"))
                self._tell(trial, known)
                continue
            made = self._taken.read({**self._space.fixed, **values})
            if made is None:
                misses += 1
                self._values[key] = float("nan")
                self._tell(trial, float("nan"))
                continue
            found.append(made)
            self._pending.append(trial)
            self._keys.append(key)
            self._chosen += 1
        if not found and not self._chosen:
            raise self._taken.none()
        return found

    def learn(self, values: Sequence[float]) -> None:
        """See `Search`."""
        for trial, key, value in zip(self._pending, self._keys, values, strict=True):
            self._values[key] = value
            self._tell(trial, value)
        self._pending, self._keys = [], []

    @property
    def refused(self) -> Refusals:
        """See `Search`."""
        return self._taken.refused

    def _tell(self, trial: Any, value: float) -> None:
        if isfinite(value):
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=self._failed)


def _distribution(axis: Axis) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.values and axis.ordered:
        return IntDistribution(0, len(axis.values) - 1)
    if axis.values:
        return CategoricalDistribution(list(range(len(axis.values))))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Axis, drawn: Any) -> Any:
    return axis.values[drawn] if axis.values else axis.tidy(drawn)


Try = Callable[[list[BaseModel]], Sequence[float]]
"""Tries a batch, and returns what came of each."""


def carry_out(search: Search, tried: Try) -> Refusals:
    """Try all that a search chooses; returns what the strategy did not take."""
    while batch := search.batch():
        search.learn(tried(batch))
    return search.refused
