"""What the engine writes to standard error by itself, kept off the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def engine_noise(into: Path) -> Iterator[None]:
    """Send the process's own standard error to a file while the block lasts; what Python says stays where it was.

    Bytewax is Rust: when an error ends a flow it prints a panic and a backtrace to file descriptor 2, past
    `sys.stderr`, before it raises. The user is told the error in one line; the rest is for the log.

    Args:
        into: Is appended to, and made where it is missing.
    """
    python = sys.stderr
    try:
        number = python.fileno()
    except (AttributeError, OSError, ValueError):
        number = -1
    if number != _STDERR:
        # Nobody's terminal: a test, or an embedding program, has its own idea of where this goes.
        yield
        return
    with into.open("ab") as file, os.fdopen(os.dup(_STDERR), "w", buffering=1, errors="backslashreplace") as terminal:
        os.dup2(file.fileno(), _STDERR)
        sys.stderr = terminal
        try:
            yield
        finally:
            terminal.flush()
            sys.stderr = python
            os.dup2(terminal.fileno(), _STDERR)


_STDERR = 2
