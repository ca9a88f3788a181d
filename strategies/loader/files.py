"""Strategy files: ours, and those in the user's own folder; read, checked, and known by the hash of their source."""

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from pydantic import BaseModel

from strategies.interface import Needs, StrategyError
from strategies.loader import parameters

OURS: Final = ("sma-cross", "macd", "bollinger", "rsi", "donchian", "buy-and-hold", "trend-cross", "pair")
"""In the order of lists: single symbols and intervals first."""

_FUNCTIONS: Final = (
    ("needs", (1,), "(p)"),
    ("begin", (1,), "(p)"),
    ("decide", (3, 4), "(state, bar, p) or (state, bar, p, orders)"),
)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Strategy:
    """One strategy file that can be used."""

    name: str
    """As users write it: the file's name with `-` for `_`."""

    ours: bool
    """Whether it came with PocketQuant."""

    path: Path
    source: str
    source_hash: str
    """SHA-256 of the source, hexadecimal: what a run is pinned to."""

    module: ModuleType = field(repr=False, compare=False)

    places_orders: bool
    """Whether it writes orders; else it returns an exposure."""

    @property
    def about(self) -> str:
        """What it does, in its own words; the first line is a summary."""
        return inspect.cleandoc(self.module.__doc__ or "")

    @property
    def model(self) -> type[BaseModel]:
        """Its `Parameters`."""
        found: type[BaseModel] = self.module.Parameters
        return found

    @property
    def described(self) -> list[parameters.Described]:
        """Its parameters, one by one."""
        return parameters.describe(self.model)

    def read_parameters(self, given: Mapping[str, Any] | None = None) -> BaseModel:
        """Make its parameters of what a user gave; see `parameters.read`."""
        return parameters.read(self.name, self.model, given or {})

    def needs(self, chosen: BaseModel) -> Needs:
        """What it has to be shown with these parameters.

        Raises:
            StrategyError: Its `needs` raises, or returns something else.
        """
        try:
            found = self.module.needs(chosen)
        except (Exception, SystemExit) as error:
            msg = f"strategy {self.name}: needs() raised {type(error).__name__}: {error}"
            raise StrategyError(msg) from error
        if not isinstance(found, Needs) or found.warm_up < 0 or found.together < 1:
            msg = f"strategy {self.name}: needs() returns Needs with warm_up >= 0 and together >= 1; it is {found!r}"
            raise StrategyError(msg)
        return found


def find(name: str, folder: Path | None = None) -> Strategy:
    """Find a strategy by name, among ours and in the user's folder.

    Raises:
        StrategyError: There is none, or its file cannot be used.
    """
    wanted = name.strip().lower().replace("_", "-")
    yours = {found: path for path in files_in(folder) if (found := name_of(path)) is not None}
    if wanted in OURS:
        if wanted in yours:
            raise StrategyError(_taken(wanted, yours[wanted]))
        return _ours(wanted)
    if wanted in yours:
        return load(yours[wanted])
    from difflib import get_close_matches

    known = [*OURS, *yours]
    close = get_close_matches(wanted, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {' '.join(known)}"
    where = f" in {folder}" if folder is not None else ""
    msg = f"no strategy {name!r}{where} or among ours: {hint}; `pq strategies new NAME` writes one"
    raise StrategyError(msg)


def list_all(folder: Path | None = None) -> tuple[list[Strategy], list[str]]:
    """All strategies that can be used, ours first; and a sentence on each file of the user's that cannot."""
    found, troubles = [_ours(name) for name in OURS], []
    for path in files_in(folder):
        try:
            one = load(path)
            if one.name in OURS:
                troubles.append(_taken(one.name, path))
                continue
            found.append(one)
        except StrategyError as error:
            troubles.append(str(error))
    return found, troubles


def files_in(folder: Path | None) -> list[Path]:
    """The Python files of a user's folder, by name; those that begin with `_` or `.` are none of them."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.glob("*.py") if path.name[0] not in "_.")


def name_of(path: Path) -> str | None:
    """The name of a strategy by its file's; None if that is no name."""
    name = path.stem.lower().replace("_", "-")
    return name if _NAME.fullmatch(name) else None


def load(path: Path) -> Strategy:
    """Read one file of the user's.

    Raises:
        StrategyError: It cannot be read or run, or is no strategy: what is missing or wrong, and where.
    """
    name = name_of(path)
    if name is None:
        msg = f"strategy file {path}: its name is letters, digits and _, beginning with a letter"
        raise StrategyError(msg)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        msg = f"strategy file {path} cannot be read: {error}"
        raise StrategyError(msg) from error
    return from_source(name, path, source)


def from_source(name: str, path: Path, source: str) -> Strategy:
    """A strategy of source text, which may since have been changed in its file.

    Args:
        name: Of the strategy.
        path: Of its file, for errors.
        source: Its text.

    Raises:
        StrategyError: As `load`.
    """
    digest = sha256(source.encode()).hexdigest()
    module = ModuleType(f"pocketquant_strategy_{name.replace('-', '_')}_{digest[:12]}")
    module.__file__ = str(path)
    # Pydantic looks up a model's annotations in the module that it was made in.
    sys.modules[module.__name__] = module
    try:
        # Not imported: what is run is the very text that was hashed, and no folder for its bytecode appears beside it.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except SyntaxError as error:
        msg = f"strategy file {path}: line {error.lineno}: {error.msg}"
        raise StrategyError(msg) from error
    except (Exception, SystemExit) as error:
        msg = f"strategy file {path}: line {_line(error, str(path))}: {type(error).__name__}: {error}"
        raise StrategyError(msg) from error
    return _checked(name, False, path, source, digest, module)


def _ours(name: str) -> Strategy:
    module = importlib.import_module(f"strategies.{name.replace('-', '_')}")
    path = Path(str(module.__file__))
    source = path.read_text(encoding="utf-8")
    return _checked(name, True, path, source, sha256(source.encode()).hexdigest(), module)


def _checked(name: str, ours: bool, path: Path, source: str, digest: str, module: ModuleType) -> Strategy:
    """The strategy of a module that has all that one must have."""
    missing = _missing(module)
    if missing is not None:
        msg = f"strategy file {path}: {missing}; `pq strategies new NAME` writes one that runs"
        raise StrategyError(msg)
    places_orders = len(inspect.signature(plain(module.decide)).parameters) == 4
    return Strategy(name, ours, path, source, digest, module, places_orders)


def _missing(module: ModuleType) -> str | None:
    """What a module must have to be a strategy, and has not."""
    if not (module.__doc__ or "").strip():
        return "it must begin with a docstring, which is its help"
    model = getattr(module, "Parameters", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return "it must have a class Parameters(BaseModel)"
    try:
        parameters.describe(model)
    except StrategyError as error:
        return str(error)
    for name, counts, takes in _FUNCTIONS:
        found = plain(getattr(module, name, None))
        if not isinstance(found, FunctionType) or len(inspect.signature(found).parameters) not in counts:
            return f"it must have a function {name}{takes}"
    return None


def plain(function: Any) -> Any:
    """A function without the compiler that it may be decorated with."""
    return getattr(function, "py_func", function)


def _taken(name: str, path: Path) -> str:
    return f"strategy file {path}: {name} is one of ours; give the file another name"


def _line(error: BaseException, path: str) -> int | str:
    """The line of the file on which an error came up."""
    line: int | str = "?"
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == path:
            line = at.tb_lineno
        at = at.tb_next
    return line
