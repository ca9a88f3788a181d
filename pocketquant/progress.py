"""Progress bars: on a terminal only, and never where the results go."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def progress(steps: Mapping[str, str]) -> Iterator[Callable[[str, float], None]]:
    """What is to be told how far a command is: a step's name, and how much of it is done, 0 to 1.

    Args:
        steps: Label by name, in their order; a step that is not in it is not shown.
    """
    if not sys.stderr.isatty():
        yield lambda _step, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {step: bar.add_task(label, total=1.0) for step, label in steps.items()}

        def tell(step: str, share: float) -> None:
            if step in tasks:
                bar.update(tasks[step], completed=share)

        yield tell
