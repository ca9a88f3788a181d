"""Strategies in forms: their names as choices, and their parameters with ranges as help.

Ours are known beforehand; the user's are whatever is in his folder now. His files are run to ask what they take, in a
process of its own: one that hangs or fails costs its help text, and never the flows.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import Field, StringConstraints

from flows import artifacts

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from prefect.deployments.runner import RunnerDeployment

StrategyName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*$")
]
ParameterValues = Annotated[dict[str, bool | int | float | str], Field(max_length=64)]

ASK_S: Final = 60.0
"""The user's files are asked for no longer than this."""
FIELD: Final = "strategy"
"""The field of each form that is a drop-down of strategies, in a card of a list too."""

VALUES: Final = "parameters"
"""The field beside it, whose help lists what each takes."""


class Shown(NamedTuple):
    """A strategy as a form shows it."""

    name: str
    about: str = ""
    """The first line of its own words."""
    parameters: str = ""
    """`fast 10 (1 to 500), slow 30 (2 to 500)`."""


def names(folder: Path) -> list[Shown]:
    """Ours, and the user's by the names of their files, of which none is run."""
    from strategies.loader.files import OURS, files_in, name_of

    yours = [name for path in files_in(folder) if (name := name_of(path)) is not None and name not in OURS]
    return [Shown(name) for name in (*OURS, *yours)]


def described(folder: Path) -> list[Shown]:
    """The same, with what each says of itself; a file that cannot be used says why."""
    from strategies.loader.files import find, list_all
    from strategies.loader.parameters import spelled

    found = []
    usable = {one.name for one in list_all(folder)[0]}
    for name in names(folder):
        if name.name not in usable:
            found.append(Shown(name.name, "cannot be used: `pq strategies` says why"))
            continue
        one = find(name.name, folder)
        takes = [
            f"{each.name} {spelled(each.default)}{f' ({each.range})' if each.range else ''}" for each in one.described
        ]
        found.append(Shown(name.name, one.about.partition("\n")[0], ", ".join(takes) or "none"))
    return found


def ask(folder: Path) -> list[Shown]:
    """As `described`, or by name alone if the files do not come back from being asked."""
    context = get_context("spawn")
    answers, theirs = context.Pipe(duplex=False)
    asked = context.Process(target=_describe, args=(folder, theirs), daemon=True)
    asked.start()
    theirs.close()
    found: list[Shown] | None = None
    with suppress(EOFError, OSError):
        if answers.poll(ASK_S):
            found = answers.recv()
    asked.kill()
    asked.join()
    return names(folder) if found is None else found


def _describe(folder: Path, answers: "Connection") -> None:
    """What the process does."""
    answers.send(described(folder))


def stamp(folder: Path) -> tuple[tuple[str, int], ...]:
    """Changes when a file of the user's was added, changed or removed."""
    from strategies.loader.files import files_in

    return tuple((path.name, path.stat().st_mtime_ns) for path in files_in(folder))


def offer(made: "RunnerDeployment", shown: Sequence[Shown]) -> None:
    """Make the drop-down of a deployment's form, and list the strategies under its description.

    Args:
        made: Changed in place; a form without a field for a strategy is left as it is.
        shown: The strategies.
    """
    schema = made._parameter_openapi_schema  # noqa: SLF001  # Where Prefect itself puts choices in.
    fields = [schema.properties, *(one.get("properties", {}) for one in schema.definitions.values())]
    forms = [one for one in fields if FIELD in one]
    for one in forms:
        one[FIELD]["enum"] = [each.name for each in shown]
        takes = [f"{each.name}: {each.parameters}" for each in shown if each.parameters]
        if takes and VALUES in one:
            one[VALUES]["description"] = " — ".join([one[VALUES]["description"], *takes])
    if forms and any(each.parameters for each in shown):
        made.description = f"{made.description}\n\n{_listed(shown)}"


def _listed(shown: Iterable[Shown]) -> str:
    rows: list[tuple[Any, ...]] = [(f"**{one.name}**", one.about, one.parameters) for one in shown]
    return artifacts.table(("strategy", "what it does", "parameters, with defaults and ranges"), rows)
