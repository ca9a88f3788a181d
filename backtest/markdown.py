"""Text and tables in the form of Markdown that GitHub and most others read."""

from collections.abc import Iterable, Sequence


def pairs(named: Iterable[tuple[str, str]]) -> str:
    """Names and values."""
    return table(("what", "value"), named)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table.

    >>> print(table(("fast", "return"), [("5", "a | b")]))
    | fast | return |
    | --- | --- |
    | 5 | a \| b |
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line_of(cell) for cell in line) + " |" for line in lines)


def line_of(text: str) -> str:
    """The text in one line, with nothing that ends a cell or begins markup of its own."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
