"""The door to files of bars: what form a file has."""

from datetime import tzinfo
from pathlib import Path
from typing import Final

from market.errors import DeskError
from sources.bar_files.delimited import DelimitedBars
from sources.bar_files.parquet import ParquetBars
from sources.bar_files.rows import BarFile

FORMATS: Final = ("csv", "parquet")
_PARQUET: Final = b"PAR1"


def open_bars(path: Path, zone: tzinfo, form: str | None = None) -> BarFile:
    """Open a file of bars and read its header.

    Args:
        path: Of the file.
        zone: Of its stamps where they name none.
        form: `csv` or `parquet`; None looks at its first bytes.

    Raises:
        DeskError: It cannot be read, or lacks a column.
    """
    if path.is_dir():
        msg = f"{path} is a folder: name a file of bars"
        raise DeskError(msg)
    if form is None:
        try:
            with path.open("rb") as file:
                form = "parquet" if file.read(len(_PARQUET)) == _PARQUET else "csv"
        except OSError as error:
            msg = f"file {path} cannot be read: {error.strerror or error}; name another"
            raise DeskError(msg) from error
    return ParquetBars(path, zone) if form == "parquet" else DelimitedBars(path, zone)
