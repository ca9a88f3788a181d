"""Progress of many symbols that are fetched side by side: a bar for all, and one a symbol while it is in hand."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tell(Protocol):
    """Takes in how far one symbol is; may be called from any thread."""

    def __call__(self, name: str, share: float, text: str = "", *, whole: float | None = None) -> None:
        """Show it.

        Args:
            name: The symbol's.
            share: How much of it is done, 0 to 1; its bar goes at 1.
            text: Beside the bar: `1,200 bars`.
            whole: How much of all is done, 0 to 1; None counts the symbols.
        """
        ...


@contextmanager
def fetch_progress(label: str, symbols: int) -> Iterator[Tell]:
    """Bars on a terminal, nothing elsewhere; never where results go.

    Args:
        label: Of the bar for all.
        symbols: How many there will be.
    """
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        every = bars.add_task(label, total=1.0, text="")
        shown: dict[str, TaskID] = {}
        ended: set[str] = set()

        def tell(name: str, share: float, text: str = "", *, whole: float | None = None) -> None:
            if share >= 1:
                ended.add(name)
                if name in shown:
                    bars.remove_task(shown.pop(name))
            elif name not in shown and name not in ended:
                shown[name] = bars.add_task(name, total=1.0, text=text)
            if name in shown:
                bars.update(shown[name], completed=share, text=text)
            done = f"{len(ended)} of {symbols}" if symbols > 1 else text
            bars.update(every, completed=len(ended) / symbols if whole is None else whole, text=done)

        yield tell


def _nothing(name: str, share: float, text: str = "", *, whole: float | None = None) -> None:
    """No terminal, no bar."""
