"""Certificates of paper trading's parity with the backtest, as the paper book keeps them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sinks.paper_book import PaperBook, Row

EQUAL: Final = "equal"
DIFFERENT: Final = "different"


class Difference(NamedTuple):
    """The first line in which the two are not the same."""

    kind: str
    """`decisions`, `orders`, `fills`, `trades`, `equity`, or `runs` where one of the two went wrong."""
    number: int
    """Of the row."""
    field: str
    """A column; `row` where one of the two has none."""
    paper: Any
    rerun: Any
    seq: int
    """Row of the journal at which it came to be."""

    def __str__(self) -> str:
        what = f"{self.kind} {self.number} (row {self.seq} of the journal)"
        if self.field == "row":
            missing = "paper" if self.paper is None else "the rerun"
            return f"{what}: {missing} has no such row; it is {self.rerun if self.paper is None else self.paper}"
        return f"{what}: {self.field} is {self.paper!r} on paper and {self.rerun!r} in the rerun"


class Certificate(NamedTuple):
    """What a comparison came to."""

    run: str
    number: int
    from_seq: int
    """Row of the journal behind which it begins."""
    to_seq: int
    """The last row."""
    day: str
    """Date of the last row's clock, UTC."""
    result: str
    """`equal` or `different`."""
    first: Difference | None
    counts: Mapping[str, int]
    """Rows that were compared, by kind."""
    revised: Sequence[Row]
    """Bars that the run had seen and that were corrected since: they change nothing, and are told."""
    made_at: int
    """ns."""


def certificates(book: PaperBook, run: str) -> list[Certificate]:
    """Those that a run has, in their order."""
    found = []
    for row in book.rows("certificates", run):
        first = None if row["first"] is None else Difference(**row["first"])
        fields = {name: row[name] for name in Certificate._fields}
        found.append(Certificate(**{**fields, "first": first, "revised": row["revised"] or []}))
    return found
