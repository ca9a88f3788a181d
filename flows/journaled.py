"""All that the desk has journaled, for flows that go through it once more."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backtest.tick_running import Journaled
    from history.desk import HistoryDesk


@contextmanager
def journaled(found: "HistoryDesk") -> "Iterator[Journaled]":
    """The journal, and the archive of the rows that it has let go.

    Raises:
        DeskError: The archive's manifests cannot be read.
    """
    from backtest.tick_running import Journaled
    from dataflows.past import opened

    with opened(found.folders.journal, found.archive) as (rows, damage):
        yield Journaled(rows, damage, round(found.settings.grace_s * 1_000_000_000))
