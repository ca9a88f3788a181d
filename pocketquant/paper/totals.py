"""What paper runs came to, each by itself and all together."""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pocketquant.output import Kind
from pocketquant.paper.summary import DAY_NS, Closed, Every, Figures, Mark, summarise, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sinks.paper_book import PaperBook, Row

ALL: Final = "all"

COLUMNS: Final[dict[str, Kind]] = {
    "run": "text",
    "strategy": "text",
    "begin": "time",
    "end": "time",
    "trades": "int",
    "pnl": "float",
    "win_rate": "float",
    "win_rate_30d": "float",
    "expectancy": "float",
    "fees": "float",
    "equity": "float",
    "change": "float",
    "return": "float",
    "drawdown_max": "float",
    "currency": "text",
}


class Line(NamedTuple):
    """Figures of one run, or of all, over one span."""

    run: str
    """Its id; `ALL` for the sum."""
    strategy: str
    currency: str
    figures: Figures

    def values(self) -> tuple[Any, ...]:
        """In the order of `COLUMNS`."""
        made = {**self._asdict(), **self.figures._asdict(), "return": self.figures.total_return}
        return tuple(made[name] for name in COLUMNS)


class _Life(NamedTuple):
    row: "Row"
    begin: int
    until: int
    trades: list[Closed]
    marks: list[Mark]


def totals(book: "PaperBook", runs: "Sequence[Row]", every: Every | None, now_ns: int, keep_days: int) -> list[Line]:
    """Figures of runs, oldest run first, over their lives or by span; of several in one currency their sum as well.

    Args:
        book: Where their rows are.
        runs: Those that have begun, the newest first.
        every: Length of the spans; None for whole lives.
        now_ns: Up to when a run that goes on is known.
        keep_days: So far back its equity is kept.
    """
    kept_from = now_ns - keep_days * DAY_NS
    lives = [_life(book, row, now_ns) for row in reversed(runs)]
    lines = []
    for life in lives:
        row = life.row
        found = summarise(life.trades, life.marks, row["cash"], life.begin, life.until, every, kept_from)
        lines += [Line(row["run"], row["strategy"], row["currency"], figures) for figures in found]
    currencies = {life.row["currency"] for life in lives}
    if len(lives) > 1 and len(currencies) == 1:
        trades = sorted((trade for life in lives for trade in life.trades), key=lambda trade: trade.exit_time)
        marks = together([(life.row["cash"], life.marks) for life in lives])
        begin, until = min(life.begin for life in lives), max(life.until for life in lives)
        cash = sum(life.row["cash"] for life in lives)
        found = summarise(trades, marks, cash, begin, until, every, kept_from)
        lines += [Line(ALL, f"{len(lives)} runs", currencies.pop(), figures) for figures in found]
    return lines


def _life(book: "PaperBook", row: "Row", now_ns: int) -> _Life:
    run = row["run"]
    begin = row["started_at"] or row["asked_at"]
    trades = [Closed(one["exit_time"], one["pnl"], one["fees"]) for one in book.rows("trades", run)]
    marks = [Mark(one["time"], one["equity"]) for one in book.rows("equity", run)]
    ended = row["ended_at"] if row["state"] in {"stopped", "killed", "failed"} else None
    if row["equity"] is not None and row["marked_at"] is not None and (not marks or row["marked_at"] > marks[-1].time):
        # The account as it is now, which may be some ticks past its last close.
        marks.append(Mark(row["marked_at"], row["equity"]))
    last = max([begin, *(mark.time for mark in marks[-1:]), *(trade.exit_time for trade in trades[-1:])])
    return _Life(row, begin, max(last, now_ns if ended is None else ended), trades, marks)
