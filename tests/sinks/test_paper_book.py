"""The paper book's contract, as every engine keeps it."""

import math

import pytest

from backtest.frames import EQUITY_COLUMNS, FILL_COLUMNS, ORDER_COLUMNS, TRADE_COLUMNS
from market.errors import DeskError
from sinks.paper_book import KINDS, Position, Written, open_paper_book

RUN, OTHER = "1a2b", "1a2b3c"


@pytest.fixture
def reopen(store_address, tmp_path):
    """Opens the book of one desk, as often as one likes."""
    opened = []

    def open_again(**options):
        book = open_paper_book(store_address, tmp_path / "paper.sqlite", **options)
        opened.append(book)
        return book

    yield open_again
    for book in opened:
        book.close()


@pytest.fixture
def book(reopen):
    """An empty book of each engine."""
    return reopen()


def at(seq, log_seq=0, closed_until=0, control=0):
    return Position(seq, log_seq, closed_until, control, clock=seq * 10, grace_ns=2 * 10**9)


def fill(number, run=RUN, **changes):
    return {
        "run": run, "number": number, "order": 1, "client_id": f"{run}-60-0-1", "seq": 10 * number,
        "symbol": "SIM:BTCUSD", "side": "buy", "units": 0.1 + 0.2, "price": 1e-300, "time": 2**62 + 1,
        "reason": "signal", "liquidity": "taker", "slippage": 0.0, "fee": -0.25, "rate": 1.0,
    } | changes  # fmt: skip


def test_rows_come_back_as_they_were_written_to_the_last_bit(book, reopen):
    """Of each type a value that a careless engine would bend: 64-bit times, floats, JSON in its order, bytes."""
    decision = {
        "run": RUN, "number": 3, "seq": 7, "log_seq": 5, "time": 60 * 10**9, "symbol": "SIM:BTCUSD", "interval": "1m",
        "exposure": None, "requests": 0, "headroom": {"exposure": 1e300}, "late_ms": math.inf,
        "bars": [{"z": 0.1 + 0.2, "a": [1, None, True, "ü"]}],
    }  # fmt: skip
    certificate = {
        "run": RUN, "number": 1, "from_seq": 1, "to_seq": 9, "day": "2026-01-02", "result": "equal", "first": None,
        "counts": {"orders": 2}, "revised": [], "end_state": b"\x00\xff", "made_at": 5,
    }  # fmt: skip

    assert book.write(Written({"fills": [fill(1), fill(2)], "decisions": [decision], "certificates": [certificate]}))

    for reader in (book, reopen(), reopen(read_only=True)):
        assert reader.rows("fills") == [fill(1), fill(2)]
        assert reader.rows("decisions") == [decision]
        assert reader.rows("certificates") == [certificate]
        assert list(reader.rows("fills")[0]) == ["run", "number", *(column.name for column in KINDS["fills"])]


def test_what_is_left_out_or_unknown_is_none(book):
    """A NaN is "not known"; a row need not have all columns."""
    book.write(Written({"orders": [{"run": RUN, "number": 1, "limit": math.nan, "stop": 2.0}]}))

    (row,) = book.rows("orders")
    assert {name: value for name, value in row.items() if value is not None} == {"run": RUN, "number": 1, "stop": 2.0}


def test_a_row_that_comes_again_takes_the_place_of_itself_and_keeps_what_it_leaves_out(book):
    """An order fills: its row changes. Of two in one batch the later counts."""
    book.write(Written({"orders": [{"run": RUN, "number": 1, "state": "new", "side": "buy", "stop": 2.0}]}))
    book.write(
        Written(
            {
                "orders": [
                    {"run": RUN, "number": 1, "state": "working", "limit": 3.0},
                    {"run": RUN, "number": 1, "state": "filled", "stop": None},
                ]
            }
        )
    )

    (row,) = book.rows("orders")
    assert [row[name] for name in ("state", "side", "limit", "stop")] == ["filled", "buy", 3.0, None]


def test_rows_are_read_by_run_number_and_limit_in_either_order(book):
    """A run whose id begins with another's is another run; the empty one is the desk's own."""
    book.write(Written({"fills": [*(fill(n) for n in (3, 1, 2, 12)), fill(1, OTHER), fill(2, "")]}))

    def numbers(*arguments, **options):
        return [(row["run"], row["number"]) for row in book.rows("fills", *arguments, **options)]

    assert numbers() == [("", 2), (RUN, 1), (RUN, 2), (RUN, 3), (RUN, 12), (OTHER, 1)]
    assert numbers(newest_first=True) == numbers()[::-1]
    assert numbers(RUN) == [(RUN, 1), (RUN, 2), (RUN, 3), (RUN, 12)]
    assert numbers(RUN, after=1, before=12) == [(RUN, 2), (RUN, 3)]
    assert numbers(after=2) == [(RUN, 3), (RUN, 12)]
    assert numbers(RUN, limit=2, newest_first=True) == [(RUN, 12), (RUN, 3)]
    assert numbers(RUN, limit=0) == numbers("nobody") == numbers(RUN, after=12) == []


def test_runs_are_found_by_the_beginning_of_their_id(book):
    """An id that is whole means itself, though others begin so."""
    rows = [{"run": run, "number": number, "state": "running"} for run, number in ((RUN, 1), (OTHER, 5), ("ff", 3))]
    book.write(Written({"runs": rows}))

    assert [row["run"] for row in book.runs()] == [OTHER, "ff", RUN]
    assert [row["run"] for row in book.run("1a")] == [OTHER, RUN]
    assert [row["run"] for row in book.run(RUN)] == [RUN]
    assert book.run("0") == []


def test_a_batch_that_comes_again_changes_nothing(book, reopen):
    """After a crash the dataflow comes again from its snapshot: what was written must not go back in time."""
    order = {"run": RUN, "number": 1}
    assert book.write(Written({"orders": [order | {"state": "working"}]}, {RUN: b"one"}, at(5)))
    assert book.write(Written({"orders": [order | {"state": "filled"}]}, {RUN: b"two"}, at(9, 2)))

    again = reopen()
    assert not again.write(Written({"orders": [order | {"state": "working"}]}, {RUN: b"one"}, at(5)))
    assert not again.write(Written({"orders": [order | {"state": "working"}]}, {RUN: b"one"}, at(9, 2)))

    assert again.rows("orders", RUN)[0]["state"] == "filled"
    assert again.state(RUN) == (9, b"two")
    assert again.position() == at(9, 2)


def test_bars_minutes_and_controls_move_the_position_within_a_row(book):
    """A row's ticks come first, then its bars, then the controls that were given it; the clock is only noted."""
    assert book.position() == Position()
    for place in (at(5), at(5, 1), at(5, 1, 60), at(5, 1, 60, 2), at(6, 1, 60, 2)):
        assert book.write(Written(position=place))
        assert not book.write(Written(position=place._replace(clock=10**18, grace_ns=0)))
        assert book.position() == place


def test_what_is_not_the_dataflows_is_written_whatever_the_position(book):
    """A certificate is another process's, and comes long after what it certifies."""
    book.write(Written(position=at(9)))

    assert book.write(Written({"certificates": [{"run": RUN, "number": 1, "result": "equal"}]}))

    assert book.rows("certificates", RUN)[0]["result"] == "equal"
    assert book.position() == at(9)


def test_each_runs_newest_state_is_kept_and_its_warm_up_once(book):
    """The bars before the first are the run's for good."""
    book.write(Written({}, {RUN: b"a", OTHER: b"b"}, at(5), {RUN: b"bars"}))
    book.write(Written({}, {OTHER: b"c" * 100_000}, at(7), {RUN: b"other bars"}))

    assert book.state(RUN) == (5, b"a")
    assert book.state(OTHER) == (7, b"c" * 100_000)
    assert book.state("nobody") is None
    assert book.warm_up(RUN) == b"bars"
    assert book.warm_up(OTHER) == b""


def test_controls_are_numbered_in_the_order_of_asking(book, reopen):
    """Whoever asks: the command line of one user and the flow of another."""
    body = {"plan": {"cash": 0.1 + 0.2, "symbols": ["SIM:BTCUSD"]}, "source": "def decide(): ...\n"}
    numbers = [book.ask(RUN, "start", body, 100), reopen().ask(RUN, "stop", {}, 200), book.ask("", "grace", {}, 300)]

    found = book.controls()

    assert numbers == [1, 2, 3]
    assert [tuple(control) for control in found] == [
        (1, 100, RUN, "start", body, None, ""),
        (2, 200, RUN, "stop", {}, None, ""),
        (3, 300, "", "grace", {}, None, ""),
    ]
    assert book.controls(after=1) == found[1:]


def test_a_controls_place_never_changes(book, reopen):
    """A rerun puts it after the same row; a refusal keeps its first reason."""
    for _ in range(3):
        book.ask(RUN, "stop", {}, 1)
    book.apply({1: 50})
    book.apply({1: 60, 2: 70}, {2: "the run is over"})
    book.apply({}, {2: "another reason"})

    assert [(one.number, one.applied_seq, one.refused) for one in reopen().controls()] == [
        (1, 50, ""), (2, 70, "the run is over"), (3, None, ""),
    ]  # fmt: skip
    assert [control.number for control in book.controls(waiting=True)] == [3]


def test_a_forgotten_run_leaves_its_controls_only(book):
    """A later rerun from a snapshot still meets them."""
    book.ask(RUN, "start", {}, 1)
    book.write(Written({"fills": [fill(1), fill(1, OTHER)], "runs": [{"run": RUN, "number": 1}]}, {RUN: b"a"}, at(5)))
    book.write(Written(warm_ups={RUN: b"bars"}))

    assert book.forget(RUN) == 2

    assert book.runs() == []
    assert book.rows("fills") == [fill(1, OTHER)]
    assert book.state(RUN) is None
    assert book.warm_up(RUN) == b""
    assert len(book.controls()) == 1
    assert book.forget(RUN) == 0


def test_what_is_old_and_proven_is_pruned_and_what_was_traded_stays(book):
    """The journal of signals and the curve grow with time; orders, fills and trades with what is done."""
    rows = [{"run": RUN, "number": n, "time": n, "seq": 10 * n} for n in range(1, 10)]
    revisions = [{"run": RUN, "number": n, "time": n, "log_seq": n} for n in range(1, 10)]
    desks = [{"run": "", "number": n, "time": n, "seq": 10 * n} for n in range(1, 10)]
    certificates = [
        {"run": RUN, "number": 1, "to_seq": 35, "result": "equal"},
        {"run": RUN, "number": 2, "to_seq": 90, "result": "different"},
    ]
    book.write(Written({"runs": [{"run": RUN, "number": 1, "state": "stopped"}], "certificates": certificates}))
    book.write(Written({"decisions": rows, "equity": rows, "fills": rows, "revisions": revisions}))
    book.write(Written({"events": [*rows, *desks]}))

    gone = book.prune(6)

    # Time 6 is a bound for all; the row 35 of the certificate one for what it has looked at.
    held = {kind: [row["time"] for row in book.rows(kind, RUN)] for kind in ("decisions", "equity", "revisions")}
    assert held == {"decisions": [*range(4, 10)], "equity": [*range(4, 10)], "revisions": [*range(6, 10)]}
    assert [row["time"] for row in book.rows("events", RUN)] == [*range(4, 10)]
    assert [row["time"] for row in book.rows("events", "")] == [*range(6, 10)]
    assert gone == 3 + 3 + 5 + 3 + 5
    assert (len(book.rows("fills")), book.runs()[0]["pruned_seq"]) == (9, 30)
    assert book.prune(6) == 0
    assert book.prune(0) == 0
    assert book.runs()[0]["pruned_seq"] == 30


def test_what_was_never_proven_is_not_pruned(book):
    """It is all that says what happened."""
    rows = [{"run": RUN, "number": n, "time": n, "seq": n} for n in range(1, 4)]
    book.write(Written({"runs": [{"run": RUN, "number": 1}], "decisions": rows, "equity": rows}))

    assert book.prune(10**18) == 0
    assert book.runs()[0]["pruned_seq"] is None


def test_what_is_no_row_of_the_book_is_refused_whole(book):
    """A slip in the program, found where it is made."""
    for rows in (
        {"fills": [fill(1)], "nonsense": []},
        {"fills": [fill(1), fill(2, colour="red")]},
        {"fills": [fill(1), {"run": RUN}]},
    ):
        with pytest.raises(ValueError, match=r"nonsense|colour|number"):
            book.write(Written(rows))
    with pytest.raises(ValueError, match="without the position"):
        book.write(Written({"fills": [fill(1)]}, {RUN: b"a"}))
    with pytest.raises(ValueError, match="dance"):
        book.ask(RUN, "dance", {}, 1)

    assert book.rows("fills") == []
    assert book.controls() == []


def test_a_book_opened_to_be_read_refuses_to_write_and_is_empty_where_there_is_none(reopen, tmp_path):
    """`pq paper status` on a desk that never traded says so, and makes no file."""
    reader = reopen(read_only=True)

    assert (reader.runs(), reader.controls(), reader.position()) == ([], [], Position())
    for write in (
        lambda: reader.ask(RUN, "stop", {}, 1), lambda: reader.apply({1: 2}), lambda: reader.forget(RUN),
        lambda: reader.write(Written()), lambda: reader.prune(1),
    ):  # fmt: skip
        with pytest.raises(DeskError, match="read only"):
            write()
    assert not (tmp_path / "paper.sqlite").exists()


def test_the_books_columns_are_those_of_a_backtests_records():
    """Whoever reads both finds the same names; `number` stands for an order's id and a fill's seq."""

    def names(kind):
        return {column.name for column in KINDS[kind]}

    assert set(ORDER_COLUMNS) - {"id"} <= names("orders")
    assert set(FILL_COLUMNS) - {"seq"} <= names("fills")
    assert set(TRADE_COLUMNS) <= names("trades")
    assert set(EQUITY_COLUMNS) - {"drawdown"} <= names("equity")
