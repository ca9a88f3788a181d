"""The front door: the `pq` command, the local supervisor, and reads from Python.

>>> import pocketquant
>>> desk = pocketquant.open("~/desk")  # doctest: +SKIP
>>> desk.bars("KRAKEN:BTCUSD", "1h", start="2026-01-02")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pocketquant.python import Desk

__all__ = ["open"]


def open(data_dir: "str | Path | None" = None, *, config: "str | Path | None" = None) -> "Desk":  # noqa: A001  # As users call it: `pocketquant.open`.
    """Open a desk's data for reading; it may be running meanwhile, and nothing is written.

    Args:
        data_dir: Data folder; `POCKETQUANT_DATA_DIR`, else the platform's, unless given.
        config: Settings file; `pocketquant.toml` in the data folder unless given.

    Raises:
        DeskError: There is no desk, or a setting is wrong.
    """
    from pocketquant.python import open_desk

    return open_desk(data_dir, config)
