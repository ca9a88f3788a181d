"""Small text files that a user hands in: read whole, and their troubles put into words."""

from pathlib import Path

from market.errors import DeskError


def read_text(path: Path, most_bytes: int, what: str) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark.

    Args:
        path: The file.
        most_bytes: What is longer is not what it is taken for.
        what: What it should be, as in "too long for a list of symbols".

    Raises:
        DeskError: It cannot be read, is longer, or is no such text.
    """
    try:
        if path.stat().st_size > most_bytes:
            msg = f"{path} is over {most_bytes >> 20} MiB, too long for {what}"
            raise DeskError(msg)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text: save it as CSV in UTF-8"
        raise DeskError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise DeskError(msg) from error
