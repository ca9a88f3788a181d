"""The compiled loop of a strategy: a module of its own, since Numba keeps no function that is passed as an argument.

The module is written to a folder of such, under a name with the hash of all that its machine code is made of. It is
there at the next start, and so is the code; it may be deleted at any time.
"""

import sys
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from strategies import interface
from strategies.interface import EXPOSURE_MAX, KEEP
from strategies.loader.files import Strategy, plain

COUNTS: Final = 3
"""Where the counts of bars by symbol and interval begin in `at`."""

KEPT: Final = 16
"""Loops of one strategy that are kept: of its newest versions and shapes."""

_HEAD = '''"""The loop of strategy {name}, written by PocketQuant; it may be deleted."""

import numba
import numpy as np

from trading.jit import borrowed
'''

_EXPOSURES = """
@numba.njit(cache=True, nogil=True)
def loop(views, state, parameters, warm_up, exposures, at):
    views, exposures, at = borrowed(views), borrowed(exposures), borrowed(at)
    held = ({held})
    p = parameters[0]
    for row in range(len(views)):
        at[0] = row
        bar = views[row]
        if at[1] > 0:
            place = {counts} + bar.symbol * 13 + bar.interval
            at[place] += 1
            if at[place] == warm_up:
                at[1] -= 1
        exposure = decide(held, bar, p)
        if exposure == {keep}:
            exposures[row] = np.nan
        elif abs(exposure) <= {most}:
            exposures[row] = exposure
        else:
            exposures[row] = exposure
            if exposure == exposure or at[1] <= 0:
                return row
    return len(views)
"""

_REQUESTS = """
@numba.njit(cache=True, nogil=True)
def loop(views, state, parameters, counts, requests, scratch, at):
    views, counts, at = borrowed(views), borrowed(counts), borrowed(at)
    requests, scratch = borrowed(requests), borrowed(scratch)
    held = ({held})
    p = parameters[0]
    room = len(scratch)
    written = 0
    at[2] = 0
    for row in range(len(views)):
        if written + room > len(requests):
            return row
        at[0] = row
        # Only of whole numbers: what is none is not compiled, and plain Python says so.
        n = decide(held, views[row], p, scratch) | 0
        counts[row] = n
        if n < 0:
            return row
        for place in range(min(n, room)):
            requests[written] = scratch[place]
            written += 1
        at[2] = written
    return len(views)
"""


def loop_text(strategy: Strategy, arrays: int) -> str:
    """Source of the loop for a state of so many arrays."""
    held = "".join(f"borrowed(state[{place}]), " for place in range(arrays)).strip()
    body = _REQUESTS if strategy.places_orders else _EXPOSURES
    values = {"name": strategy.name, "held": held, "counts": COUNTS, "keep": repr(KEEP), "most": repr(EXPOSURE_MAX)}
    return (_HEAD + "\n" + body).format(**values)


def compiled_loop(strategy: Strategy, arrays: int, folder: Path) -> Any:
    """The loop of a strategy, which Numba compiles at its first call, or reads from the folder.

    Args:
        strategy: Whose.
        arrays: How many its state has.
        folder: Of loops; made if missing. One that cannot be written gives way to a temporary one.
    """
    text = loop_text(strategy, arrays)
    name = f"pocketquant_loop_{strategy.name.replace('-', '_')}_{loop_hash(strategy, text)[:20]}"
    path = _written(folder, f"{name}.py", text)
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path) and "loop" in known.__dict__:
        # A sweep begins the same strategy a hundred times, and reading its machine code takes milliseconds.
        return known.__dict__["loop"]
    module = ModuleType(name)
    module.__file__ = str(path)
    module.__dict__["decide"] = compilable(strategy)
    sys.modules[module.__name__] = module
    exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    return module.__dict__["loop"]


def compilable(strategy: Strategy) -> Any:
    """The strategy's decision for Numba; plain functions of its own file that it calls are compiled with it."""
    from trading.jit import inlined, njit

    own = strategy.module.__name__
    names = dict(strategy.module.__dict__)
    for name, value in strategy.module.__dict__.items():
        function = plain(value)
        if isinstance(function, FunctionType) and function.__module__ == own:
            copy = FunctionType(function.__code__, names, name, function.__defaults__, function.__closure__)
            copy.__module__ = own
            # Inlined, a decision's average of ten bars costs a third of what it does when called.
            names[name] = inlined(copy) if name == "decide" else njit(copy)
    return names["decide"]


def loop_hash(strategy: Strategy, text: str) -> str:
    """Hash of all that the machine code of a loop is made of."""
    found = sha256(_surroundings())
    # Numba keeps by name the module that a function is of: the text of one of ours may have been read as a file, too.
    for part in (strategy.source_hash, strategy.module.__name__, text):
        found.update(part.encode())
    return found.hexdigest()


@cache
def _surroundings() -> bytes:
    """The compiler, and every file of ours that a strategy may call."""
    import numba
    import numpy as np

    import trading

    found = sha256(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    package = Path(str(trading.__file__)).parent
    files = [package / f"{name}.py" for name in ("jit", "records", "requests")]
    for path in [*files, *sorted((package / "indicators").glob("*.py")), Path(str(interface.__file__))]:
        found.update(path.read_bytes())
    return found.digest()


def _written(folder: Path, name: str, text: str) -> Path:
    """Write the loop where it is not there yet, in one step, so that its age stays that of its machine code."""
    path = folder / name
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{name}.{id(text)}"
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        return _written(Path(tempfile.mkdtemp(prefix="pocketquant-loops-")), name, text)
    _prune(folder, name)
    return path


def _prune(folder: Path, name: str) -> None:
    """Remove the oldest loops of the same strategy, with their machine code."""
    stem = name.rpartition("_")[0]
    with suppress(OSError):
        found = sorted(folder.glob(f"{stem}_{'?' * 20}.py"), key=lambda path: path.stat().st_mtime_ns)
        for old in found[:-KEPT]:
            for kept in [old, old.with_suffix(".plain"), *(folder / "__pycache__").glob(f"{old.stem}.*")]:
                kept.unlink(missing_ok=True)
