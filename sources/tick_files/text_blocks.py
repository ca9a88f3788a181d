"""Text files in blocks of whole lines: bounded memory, and every line keeps its number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from market.errors import DeskError

BLOCK_BYTES: Final = 4 * 1024 * 1024
LINE_BYTES_MOST: Final = 64 * 1024 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Consecutive whole lines, each ended by a line feed but the file's last, if `unended`."""

    content: bytes
    """Without carriage returns before line feeds, and without a byte order mark."""

    first_line: int
    """Number of the first line, from 1."""

    unended: bool
    """Whether the file ends here without a line feed: its last line may have been cut off."""

    progress: float
    """How much of the file has been read, 0 to 1."""

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line's number and content."""
        parts = self.content.split(b"\n")
        if not parts[-1]:
            parts.pop()
        yield from enumerate(parts, self.first_line)

    def halves(self) -> tuple["Block", "Block"]:
        """The block in two, of which the first ends at the line feed next to the middle; of two lines or more."""
        cut = self.content.find(b"\n", len(self.content) // 2) + 1
        if cut in {0, len(self.content)}:
            cut = self.content.rfind(b"\n", 0, len(self.content) // 2) + 1
        first, second = self.content[:cut], self.content[cut:]
        line = self.first_line + first.count(b"\n")
        return self._replace(content=first, unended=False), self._replace(content=second, first_line=line)

    def line_count(self) -> int:
        """Number of lines."""
        return self.content.count(b"\n") + self.unended


class Chunk(NamedTuple):
    """A piece of a file, cut anywhere."""

    content: bytes
    """Without a byte order mark."""

    progress: float
    """How much of the file has been read, 0 to 1."""


def read_chunks(path: Path) -> Iterator[Chunk]:
    """Pieces of 4 MiB.

    Raises:
        DeskError: The file cannot be read.
    """
    done = 0
    try:
        size = max(path.stat().st_size, 1)
        with path.open("rb") as file:
            while content := file.read(BLOCK_BYTES):
                if not done:
                    content = content.removeprefix(BYTE_ORDER_MARK)
                done = file.tell()
                yield Chunk(content, min(done / size, 1.0))
    except OSError as error:
        msg = f"file {path} cannot be read: {error.strerror or error}"
        raise DeskError(msg) from error


def read_blocks(path: Path) -> Iterator[Block]:
    """Blocks of about 4 MiB.

    Raises:
        DeskError: The file cannot be read, or a line of it is longer than 64 MiB.
    """
    line = 1
    rest = b""
    for chunk in read_chunks(path):
        whole, feed, tail = chunk.content.rpartition(b"\n")
        if not feed:
            rest += tail
            if len(rest) > LINE_BYTES_MOST:
                msg = f"file {path}: line {line} is longer than 64 MiB; it is no file of ticks in lines"
                raise DeskError(msg)
            continue
        content = _plain(rest + whole + feed)
        yield Block(content, line, unended=False, progress=chunk.progress)
        line += content.count(b"\n")
        rest = tail
    if rest:
        yield Block(_plain(rest), line, unended=True, progress=1.0)


def _plain(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n") if b"\r" in content else content
