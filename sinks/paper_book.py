"""The paper book's port: what was asked of paper trading and what came of it, as every engine keeps it.

**Rows.** Each kind of row is known by (run, number) and has the columns of `KINDS`. A row that is written again takes
the place of itself; columns that it leaves out keep what they held. So whoever comes again after a crash with what it
had written before changes nothing.

**Position.** What one `write` carries counts from the moment its position stands. A batch whose position is not beyond
the one that stands was written before: nothing of it is written again, or an order that has filled would for a moment
be working anew.

**Controls.** A user asks, the dataflow answers: it writes down after which row of the journal a control takes effect
before it acts on anything later, and that place never changes. Numbers rise by one in the order of asking.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, get_args

Action = Literal["start", "stop", "flatten", "revive", "forget", "split", "dividend", "grace", "limits"]
"""`start` and what ends a run: `stop` keeps its positions marked as they are, `flatten` closes them first; `revive`
takes the kill switch back; `forget` removes a run that has ended; `split` and `dividend` change what is held; `grace`
is the bars' own and `limits` are those of the settings, of all runs."""
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

Row = dict[str, Any]
"""One row by column. Of what is missing the value is None."""


class Column(NamedTuple):
    """One column of a kind of row."""

    name: str
    type: Literal["text", "int", "float", "bool", "json", "bytes"]
    """NaN in a float is "unknown", kept as None. `json` is anything that JSON holds, and comes back as it was."""


def _columns(given: str) -> tuple[Column, ...]:
    """Columns from words as `text:strategy,source int:seq`."""
    found = []
    for group in given.split():
        kind, _, names = group.partition(":")
        found += [Column(name, kind) for name in names.split(",")]  # type: ignore[arg-type]
    return tuple(found)


KINDS: Final[Mapping[str, tuple[Column, ...]]] = {
    # One run. number is that of the control that started it.
    "runs": _columns(
        "text:strategy,source_hash,source bool:ours json:parameters,symbols text:interval json:plan "
        "int:asked_at,started_seq,started_at text:state,why int:ended_seq,ended_at text:mode float:cash text:currency "
        "json:streams int:closed_until text:why_plain float:equity,cash_now,realised,unrealised,exposure,drawdown,fees "
        "json:positions int:working,orders,fills,trades,warm_up,last_bar,last_seq,marked_at,pruned_seq"
    ),
    # The signal journal: what was decided on a bar's close, and all that the strategy saw.
    "decisions": _columns(
        "int:seq,log_seq,time text:symbol,interval float:exposure int:requests json:bars,headroom float:late_ms"
    ),
    # number is the order's id.
    "orders": _columns(
        "text:client_id int:seq,log_seq text:symbol,kind,side,sizing float:amount,units,filled,average_price,limit,"
        "stop,trail text:trail_unit,tif int:placed_at,expires_at,done_at text:state,reason float:found,allowed,fees "
        "int:parent,group,tag"
    ),
    # number is the fill's own in the account, seq the journal's row that made it.
    "fills": _columns(
        "int:order text:client_id int:seq text:symbol,side float:units,price int:time text:reason,liquidity "
        "float:slippage,fee,rate"
    ),
    "trades": _columns(
        "text:symbol,side float:size int:entry_time,exit_time float:entry_price,exit_price,pnl,return,fees "
        "text:entry_reason,exit_reason int:seq"
    ),
    # The curve at each boundary; number is the minute since 1970 that has closed, time its end.
    "equity": _columns("int:time,seq float:equity,cash,exposure"),
    # Bars that a run had seen and that were corrected afterwards.
    "revisions": _columns(
        "int:time,log_seq,revision text:symbol,interval int:start json:old,new"
    ),
    "certificates": _columns(
        "int:from_seq,to_seq text:day,result json:first,counts,revised bytes:end_state int:made_at"
    ),
    "events": _columns("int:time,seq text:level,name,text"),
}  # fmt: skip
"""By kind of row its columns, after `run` and `number`. Times are ns UTC, `seq` rows of the journal, `log_seq` places
in the bars dataflow's log; a run of "" is the whole desk's.

runs.streams: by symbol the journal's stream that made its bars at the start. runs.closed_until: of `Position`, at the
start. runs.state: `running`, `stopped`, `flattening`, `killed`, `failed`. runs.mode: `compiled` or `plain`; why_plain:
why not. runs.cash: what it began with; cash_now what it has. runs.positions: a list of what is held. runs.working,
orders, fills, trades, warm_up: how many orders work, and were placed, and so on; how many bars were shown before the
first. runs.last_bar, last_seq: end of the newest bar that it was shown, and the journal's row then. runs.marked_at:
when equity, realised, unrealised, exposure (a fraction), drawdown (a fraction) were true. runs.pruned_seq: the
journal's row of the newest that was pruned.
decisions.time: end of the bar. exposure: None where it was kept. requests: how many orders it asked for. bars: by
symbol and interval the bars that came in with it. headroom: what the limits of all runs together left it.
certificates.result: `equal` or `different`.
"""


class Control(NamedTuple):
    """What was asked of one run, or of all if `run` is empty."""

    number: int
    asked_at: int
    """ns."""
    run: str
    action: Action
    body: dict[str, Any]
    applied_seq: int | None
    """Row of the journal right after which it takes effect; None as long as it waits."""
    refused: str
    """Why it had no effect, as a sentence; empty if it had, or waits."""


class Position(NamedTuple):
    """How far everything is written. Later is greater, by the first four."""

    seq: int = 0
    """Row of the journal."""
    log_seq: int = 0
    """Place in the bars dataflow's log."""
    closed_until: int = 0
    """End of the newest minute that has closed, ns."""
    control: int = 0
    """How many controls have taken effect: a later one may have a lower number."""
    clock: int = 0
    """The journal's, ns."""
    grace_ns: int = 0
    """With which minutes close."""

    def beyond(self, other: "Position") -> bool:
        """Whether this is later than another."""
        return self[:4] > other[:4]


class Written(NamedTuple):
    """What one `write` carries."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    """By kind; each has `run`, `number` and any of the kind's columns. Of two with one key the later counts."""
    states: Mapping[str, bytes] = {}
    """By run what it goes on from at `position`."""
    position: Position | None = None
    """Where all of this stands; None for what is not the dataflow's (a certificate), which is written in any case."""
    warm_ups: Mapping[str, bytes] = {}
    """By run the bars that it was shown before its first; written once, with its row."""


class PaperBook(Protocol):
    """Where paper trading is written down. Every method may raise `StoreAway`, or `DeskError` for what does not pass.

    One process writes (the dataflow), any number ask and read; one object may be used by several threads.
    """

    @property
    def where(self) -> str:
        """The book as a user knows it: a file's path, or a server's address without its password."""
        ...

    def ask(self, run: str, action: Action, body: Mapping[str, Any], asked_at: int) -> int:
        """Write a control down, on the disk when it returns; its number.

        Args:
            run: Whose; empty for all.
            action: One of `ACTIONS`.
            body: What it needs to know, as JSON.
            asked_at: ns.
        """
        ...

    def controls(self, after: int = 0, *, waiting: bool = False) -> list[Control]:
        """Controls with a number above `after` in their order; only those that wait, if so asked."""
        ...

    def apply(self, places: Mapping[int, int], refused: Mapping[int, str] | None = None) -> None:
        """Give controls their places, on the disk when it returns. A place or refusal that is there stays as it is.

        Args:
            places: By number the journal's row right after which it takes effect.
            refused: By number why it has none, as a sentence.
        """
        ...

    def write(self, batch: Written) -> bool:
        """Write rows of all kinds, then states, then the position; False if all of it was written before (see above).

        Raises:
            ValueError: A kind or column is none that there is.
            StoreAway: Nothing of the batch counts as written; write it again.
        """
        ...

    def position(self) -> Position:
        """Up to where everything is written."""
        ...

    def rows(
        self,
        kind: str,
        run: str | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        *,
        newest_first: bool = False,
    ) -> list[Row]:
        """Rows of one kind by run and number, each with `run`, `number` and all of the kind's columns.

        Args:
            kind: One of `KINDS`.
            run: Of one run; of all, one after the other, unless given.
            after: Numbers above.
            before: Numbers below.
            limit: At most so many, the first of the order that is asked for.
            newest_first: From the highest number down.
        """
        ...

    def runs(self) -> list[Row]:
        """All runs, the newest first."""
        ...

    def run(self, begins: str) -> list[Row]:
        """The run of that id, or those whose id begins so, the newest first."""
        ...

    def state(self, run: str) -> tuple[int, bytes] | None:
        """The journal's row up to which a run's state stands, and the state; None where there is none."""
        ...

    def warm_up(self, run: str) -> bytes:
        """The bars that a run was shown before its first; empty if there were none."""
        ...

    def forget(self, run: str) -> int:
        """Remove all of a run but its controls, which later ones count on; how many rows that were."""
        ...

    def prune(self, before: int) -> int:
        """Remove the oldest decisions, equity, revisions and events of each run; how many rows that were.

        Of each kind up to the first that is from `before` (ns) on, or of a journal's row that no certificate which says
        `equal` has come to: what was not proven stays. Those of the whole desk go by their time alone.
        """
        ...

    def size_bytes(self) -> int:
        """What the book occupies on its disk."""
        ...

    def close(self) -> None:
        """Let go of the book."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


PRUNED: Final = ("decisions", "equity", "revisions", "events")
"""Kinds that grow with time, whatever is traded."""


def open_paper_book(where: str | Path, path: Path, *, read_only: bool = False) -> PaperBook:
    """Open the paper book beside a bar store: in the same MongoDB database, else in an SQLite file of its own.

    Of its own, so that a long write of history's never delays a fill.

    Args:
        where: The bar store's address or path.
        path: The SQLite file, made if it is not there unless it is to be read only.
        read_only: Write nothing. Where there is no book yet, it is an empty one.

    Raises:
        DeskError: The file cannot be opened, or is no paper book.
    """
    text = str(where)
    if text.startswith(("mongodb://", "mongodb+srv://")):
        from sinks.paper_mongo import MongoPaper

        return MongoPaper(text, read_only=read_only)
    from sinks.paper_sqlite import SqlitePaper

    return SqlitePaper(path, read_only=read_only)
