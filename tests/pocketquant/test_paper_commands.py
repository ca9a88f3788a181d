"""`pq paper` as a user meets it: what is asked of a desk, and what is shown of the runs that it made.

The dataflow's part is done here by hand, row by row, through the real book.
"""

import io
import json
from contextlib import contextmanager

import polars as pl
import pytest

import pocketquant
from market.errors import DeskError
from market.intervals import MINUTE_NS
from market.symbols import Symbol
from pocketquant.paper.runs import open_book
from sinks.ledger import Ledger
from sinks.paper_book import Position, Written

NOON = 1_767_355_200 * 10**9
DAY_NS = 1440 * MINUTE_NS
BASICS = ("--symbol", "SIM:BTCUSD", "--interval", "1m")
TRADE_COLUMNS = "symbol,side,size,entry_time,exit_time,entry_price,exit_price,pnl,return,fees,entry_reason,exit_reason"


@pytest.fixture
def paper(pq, desk):
    """Run `pq paper ...` on the desk, which is down, and whose runs are of a past that is kept all the same."""
    (desk / "pocketquant.toml").write_text("[paper]\nkeep_days = 100000\n")
    return lambda *words: pq("paper", *words, "--data-dir", desk)


@pytest.fixture
def run(paper):
    """A run that was asked for: its id."""
    answer = paper("start", "sma-cross", *BASICS)
    assert answer.code == 0, answer.err
    return answer.out.strip()


@pytest.fixture
def book(folders):
    """The book as the dataflow opens it."""

    @contextmanager
    def opened():
        with open_book(Paths(folders), read_only=False) as found:
            yield found

    return opened


class Paths:
    """What a book needs of the settings."""

    def __init__(self, folders):
        self.folders = folders
        self.store = folders.bars


@pytest.fixture
def taken_up(book):
    """Do what the dataflow does with controls: a start becomes a run, others change its state."""

    def take_up(**changes):
        states = {"start": "running", "stop": "stopped", "flatten": "killed", "revive": "running"}
        with book() as found:
            waiting = found.controls(waiting=True)
            found.apply({one.number: 100 + one.number for one in waiting})
            rows = []
            for one in waiting:
                if one.action == "forget":
                    found.forget(one.run)
                    continue
                row = {"run": one.run, "state": states[one.action], **changes}
                if one.action == "start":
                    plan = one.body["plan"]
                    names = ("strategy", "source_hash", "parameters", "symbols", "interval", "cash", "currency")
                    row |= {name: plan[name] for name in names}
                    row |= {"plan": plan, "ours": True, "source": one.body["source"], "asked_at": one.asked_at}
                    row |= {
                        "number": one.number,
                        "started_at": NOON,
                        "started_seq": 101,
                        "mode": "compiled",
                        "warm_up": 2,
                    }
                    row |= {"equity": plan["cash"], "realised": 0.0, "unrealised": 0.0, "marked_at": NOON} | changes
                else:
                    row["number"] = found.run(one.run)[0]["number"]
                    row["ended_at"] = None if one.action == "revive" else NOON + DAY_NS
                rows.append(row)
            found.write(Written(rows={"runs": rows}))

    return take_up


@pytest.fixture
def made(run, taken_up, book):
    """A run with two trades, a fill, an order that works, a decision, and four marks of its equity on two days."""
    taken_up(
        equity=10_010.0, realised=6.0, unrealised=4.0, exposure=0.5, drawdown=0.001, fees=2.0, trades=2, working=1,
        orders=3, fills=2,
        marked_at=NOON + DAY_NS + MINUTE_NS,
        positions=[
            {"symbol": "SIM:BTCUSD", "units": 0.5, "entry_price": 2.0, "price": 10.0, "value": 5.0, "unrealised": 4.0}
        ],
    )  # fmt: skip
    trade = {
        "run": run, "symbol": "SIM:BTCUSD", "side": "long", "size": 0.1 + 0.2, "entry_time": NOON, "entry_price": 2.0,
        "exit_price": 3.0, "return": 0.5, "fees": 1.0, "entry_reason": "signal", "exit_reason": "signal",
    }  # fmt: skip
    marks = [(NOON + MINUTE_NS, 10_020.0), (NOON + 2 * MINUTE_NS, 9_969.9), (NOON + DAY_NS, 10_000.0)]
    decision = {
        "run": run, "number": 1, "seq": 140, "log_seq": 3, "time": NOON + MINUTE_NS, "symbol": "SIM:BTCUSD",
        "interval": "1m", "exposure": 1.0, "requests": 0, "bars": {"SIM:BTCUSD 1m": [1.0, 3.0, 0.5, 2.0]},
        "late_ms": 2_000.0,
    }  # fmt: skip
    order = {
        "run": run, "number": 1, "client_id": f"{run}-1767355260-0-1", "seq": 140, "symbol": "SIM:BTCUSD",
        "kind": "market", "side": "buy", "sizing": "target", "amount": 1.0, "filled": 0.0, "tif": "gtc",
        "placed_at": NOON + MINUTE_NS, "state": "working", "reason": "none", "fees": 0.0,
    }  # fmt: skip
    fill = {
        "run": run, "number": 1, "order": 1, "client_id": order["client_id"], "seq": 141, "symbol": "SIM:BTCUSD",
        "side": "buy", "units": 0.5, "price": 2.0, "time": NOON + MINUTE_NS + 5, "reason": "signal",
        "liquidity": "taker", "slippage": 0.0, "fee": 0.0, "rate": 1.0,
    }  # fmt: skip
    rows = {
        "trades": [
            {**trade, "number": 1, "exit_time": NOON + MINUTE_NS, "pnl": 10.0},
            {**trade, "number": 2, "exit_time": NOON + DAY_NS, "pnl": -4.0},
        ],
        "equity": [
            {
                "run": run,
                "number": time // MINUTE_NS,
                "time": time,
                "seq": 1,
                "equity": value,
                "cash": 1.0,
                "exposure": 0.5,
            }
            for time, value in marks
        ],
        "decisions": [decision],
        "orders": [order],
        "fills": [fill],
        "events": [{"run": run, "number": 1, "time": NOON, "level": "info", "name": "started", "text": "as asked"}],
    }
    with book() as found:
        found.write(Written(rows=rows, states={run: b"state"}, position=Position(seq=141)))
    return run


def test_a_run_is_asked_for_and_waits_while_the_desk_is_down(paper, book):
    answer = paper("start", "sma-cross", *BASICS, "--param", "fast=5", "--fees", "5bps", "--max-drawdown", "0.2")
    (control,) = book_controls(book)
    plan = control.body["plan"]

    assert answer.code == 0
    assert answer.out.strip() == control.run
    assert "the desk is not running, so it waits for the next `pq up`" in answer.err
    assert (control.action, control.applied_seq, plan["strategy"]) == ("start", None, "sma-cross")
    assert plan["parameters"] == {"fast": 5, "slow": 30, "shorts": True}
    assert plan["symbols"] == ["SIM:BTCUSD"]
    assert plan["conditions"]["limits"]["drawdown"] == 0.2
    assert plan["conditions"]["limits"]["late_ms"] == 60_000
    # At a price of 2.5 a thousandth of a unit is too dear a step, a ten-thousandth is not.
    assert plan["conditions"]["terms"]["SIM:BTCUSD"]["lots"]["lot"] == 0.0001
    assert "def decide" in control.body["source"]


def book_controls(book):
    with book() as found:
        return found.controls()


def test_what_waits_is_shown_as_asked_for(paper, run):
    (row,) = paper("status", "--json").json()

    assert (row["run"], row["state"], row["strategy"], row["cash"]) == (run, "asked", "sma-cross", 10_000.0)
    assert row["positions"] == []
    assert paper("trades", run).err.startswith("no paper run has begun yet")


def test_too_few_bars_to_warm_up_are_said(paper):
    answer = paper("start", "sma-cross", *BASICS)

    assert "SIM:BTCUSD 1m: 3 of the 30 bars that warm it up are held, so it decides 27 bars later" in answer.err


def test_what_a_dataflow_refuses_is_said_and_shown(paper, run, book):
    with book() as found:
        found.apply({}, {1: "the store holds no bars"})
    (row,) = paper("status", "--json").json()

    assert (row["state"], row["why"]) == ("refused", "the store holds no bars")


def test_the_same_run_is_started_once_unless_asked_again(paper, run, taken_up):
    waiting = paper("start", "sma-cross", *BASICS)
    taken_up()
    running = paper("start", "sma-cross", *BASICS)
    other = paper("start", "sma-cross", *BASICS, "--cash", 500)
    again = paper("start", "sma-cross", *BASICS, "--again")

    assert waiting.code == running.code == 2
    assert f"run {run} is the same and waits already" in waiting.err
    assert f"run {run} is the same and runs already: `pq paper stop {run}`" in running.err
    assert (other.code, again.code) == (0, 0)
    assert len({run, other.out.strip(), again.out.strip()}) == 3


def test_a_run_is_stopped_revived_flattened_and_removed(paper, run, taken_up, book, monkeypatch):
    taken_up()

    def state():
        return paper("status", run, "--json").json()[0]["state"]

    assert paper("stop", "sma-cross").code == 0
    assert paper("status", "--json").json()[0]["asked"] == "stop"
    taken_up()
    assert state() == "stopped"
    assert paper("revive", run[:4]).code == 0
    taken_up()
    assert state() == "running"
    assert paper("remove", run, "--yes").code == 2
    assert paper("stop", "--flatten").code == 0
    taken_up()
    assert state() == "killed"
    monkeypatch.setattr("sys.stdin", io.StringIO())
    unanswered = paper("remove", run)
    assert (unanswered.code, "say --yes" in unanswered.err) == (2, True)
    assert paper("remove", run, "--yes").code == 0
    taken_up()
    assert paper("status", "--json").json() == []
    assert [one.action for one in book_controls(book)] == ["start", "stop", "revive", "flatten", "forget"]


def test_of_several_runs_of_a_strategy_the_one_that_runs_is_meant(paper, run, taken_up):
    taken_up()
    paper("stop", run)
    taken_up()
    second = paper("start", "sma-cross", *BASICS).out.strip()
    taken_up()
    third = paper("start", "sma-cross", *BASICS, "--cash", 500).out.strip()
    taken_up()
    several = paper("stop", "sma-cross")

    assert several.code == 2
    assert f"'sma-cross' may be any of 2 paper runs: {third} (sma-cross, running), {second}" in several.err
    assert paper("revive", "sma-cross").code == 0
    assert [row["state"] for row in paper("status", "sma-cross", "--json").json()] == ["running", "running", "stopped"]


def test_status_shows_one_run_whole(paper, made):
    text = paper("status", made).out
    (row,) = paper("status", made, "--json").json()

    assert f"{made}  sma-cross fast=10 slow=30 shorts=true on SIM:BTCUSD 1m" in text
    assert "equity     10,010.00 USD (+0.10% of 10,000.00), as of 2026-01-03T12:01:00Z" in text
    assert "realised +6.00, unrealised +4.00, fees 2.00, drawdown 0.10%, exposure 0.50 x equity" in text
    assert "SIM:BTCUSD +0.5 at 2, now 10: +4.00" in text
    assert (
        "limits: no leverage; no orders on forming or partial bars; none on bars known more than 60000 ms late" in text
    )
    assert text.splitlines()[-1] == "event      2026-01-02T12:00:00Z  started  as asked"
    assert "3 orders, 2 fills, 2 trades; 1 of the orders work" in text
    assert row["return"] == 10_010 / 10_000 - 1
    assert row["positions"][0]["units"] == 0.5
    assert row["conditions"]["limits"]["leverage"] == 1.0
    assert "paper trading does not run now" in paper("status").err


def test_trades_have_the_columns_of_a_backtest(paper, made):
    text = paper("trades", made, "--format", "csv").out
    rows = paper("trades", "sma-cross", "--json").json()

    assert text.splitlines()[0] == TRADE_COLUMNS
    assert [row["pnl"] for row in rows] == [10.0, -4.0]
    assert rows[0]["size"] == 0.1 + 0.2
    assert rows[0]["exit_time"] == "2026-01-02T12:01:00Z"
    assert len(paper("trades", made, "--start", "2026-01-03", "--json").json()) == 1
    assert [row["pnl"] for row in paper("trades", made, "--limit", 1, "--json").json()] == [-4.0]


def test_rows_of_several_runs_say_whose_they_are(paper, made, taken_up):
    paper("start", "rsi", *BASICS)
    taken_up()

    assert {row["run"] for row in paper("trades", "--json").json()} == {made}
    assert paper("trades", "rsi").err == "no trades of rsi yet\n"


def test_orders_fills_and_signals_lead_back_to_the_journal(paper, made):
    (order,) = paper("orders", made, "--json").json()
    (fill,) = paper("fills", made, "--json").json()
    (signal,) = paper("signals", made, "--json").json()

    assert (order["id"], order["state"], order["row"]) == (1, "working", 140)
    assert (fill["order"], fill["client_id"], fill["row"]) == (1, order["client_id"], 141)
    assert (signal["time"], signal["exposure"], signal["row"], signal["log_row"]) == (
        "2026-01-02T12:01:00Z",
        1.0,
        140,
        3,
    )
    assert json.loads(signal["bars"]) == {"SIM:BTCUSD 1m": [1.0, 3.0, 0.5, 2.0]}


def test_equity_has_its_drawdown_below_the_highest_before(paper, made):
    rows = paper("equity", made, "--json").json()

    assert [row["equity"] for row in rows] == [10_020.0, 9_969.9, 10_000.0]
    assert [row["drawdown"] for row in rows] == [0.0, 1 - 9_969.9 / 10_020, 1 - 10_000 / 10_020]
    assert [row["drawdown"] for row in paper("equity", made, "--limit", 1, "--json").json()] == [1 - 10_000 / 10_020]


def test_equity_is_drawn_in_the_terminal_and_as_pictures(paper, made, tmp_path):
    drawn = paper("equity", made, "--chart")
    page, picture = tmp_path / "curve.html", tmp_path / "curve.png"

    assert drawn.out.splitlines()[0].startswith(f"sma-cross {made} on SIM:BTCUSD 1m, USD: 10,000.00, drawdown 0.20%")
    assert "┤ 10019" in drawn.out
    assert paper("equity", "--output", page).code == paper("equity", "--output", picture).code == 0
    assert made in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert paper("equity", made, "--chart", "--json").code == 2


def test_a_summary_says_what_runs_came_to(paper, made):
    (whole,) = paper("summary", made, "--json").json()
    days = paper("summary", made, "--daily", "--json").json()

    assert (whole["trades"], whole["pnl"], whole["win_rate"], whole["expectancy"]) == (2, 6.0, 0.5, 3.0)
    assert (whole["equity"], whole["change"]) == (10_010.0, 10.0)
    assert whole["drawdown_max"] == 1 - 9_969.9 / 10_020
    assert [(day["trades"], day["pnl"], day["win_rate"], day["win_rate_30d"]) for day in days[:2]] == [
        (1, 10.0, 1.0, 1.0),
        (1, -4.0, 0.0, 0.5),
    ]
    assert [day["equity"] for day in days[:2]] == [9_969.9, 10_010.0]
    assert days[1]["begin"] == "2026-01-03T00:00:00Z"


def test_a_summary_of_several_runs_has_their_sum(paper, made, taken_up):
    paper("start", "rsi", *BASICS, "--cash", 500)
    taken_up()
    rows = paper("summary", "--json").json()

    assert [row["strategy"] for row in rows] == ["sma-cross", "rsi", "2 runs"]
    assert (rows[-1]["run"], rows[-1]["equity"], rows[-1]["pnl"], rows[-1]["change"]) == ("all", 10_510.0, 6.0, 10.0)


def test_python_reads_what_the_commands_show(paper, made, desk):
    """The same rows, as frames with times that are times."""
    found = pocketquant.open(desk).paper

    assert found.runs()["run"].to_list() == [made]
    assert found.runs("sma-cross")["equity"].to_list() == [10_010.0]
    assert found.trades(made)["pnl"].to_list() == [10.0, -4.0]
    assert found.trades().columns == ["run", *TRADE_COLUMNS.split(",")]
    assert found.trades()["exit_time"].dtype == pl.Datetime("ns", "UTC")
    assert (len(found.orders()), len(found.fills()), len(found.signals(made[:3]))) == (1, 1, 1)
    assert found.equity()["drawdown"].to_list() == [row["drawdown"] for row in paper("equity", made, "--json").json()]
    assert found.summary(every="day")["pnl"].to_list()[:2] == [10.0, -4.0]
    with pytest.raises(DeskError, match="no paper run 'macd'"):
        found.trades("macd")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sma-cros", *BASICS), "did you mean sma-cross"),
        (("sma-cross", *BASICS, "--param", "fast=40"), "fast 40 is not below slow 30"),
        (("sma-cross", *BASICS, "--param", "quick=3"), "no parameter 'quick'"),
        (("sma-cross", "--symbol", "SIM:ETHUSD", "--interval", "1m"), "`pq subscribe SIM:ETHUSD` first"),
        (("sma-cross", "--symbol", "MOON:CHEESE", "--interval", "1m"), "MOON"),
        (("sma-cross", "--symbol", "SIM:BTCUSD", "--interval", "7m"), "7m"),
        (("sma-cross", *BASICS, "--symbol", "SIM:BTCUSD"), "names one twice"),
        (("pair", *BASICS), "decides on 2 symbols together; the run has 1"),
        (("trend-cross", "--symbol", "SIM:BTCUSD", "--interval", "1d"), "besides its own interval"),
        (("sma-cross", *BASICS, "--cash", "0.5"), "cash must be between 1 and"),
        (("sma-cross", *BASICS, "--cash", "nan"), "cash must be between 1 and"),
        (("sma-cross", *BASICS, "--cash", "2", "--lot", "1"), "the smallest size is 1, which costs 2.5 now"),
        (("sma-cross", *BASICS, "--lot", "0"), "--lot 0: Input should be greater than 0"),
        (("sma-cross", *BASICS, "--fees", "many"), "fees 'many' are not understood"),
        (("sma-cross", *BASICS, "--max-drawdown", "1.5"), "drawdown"),
        (("sma-cross", "--interval", "1m"), "--symbol"),
    ],
)
def test_a_wrong_start_is_one_sentence_and_asks_for_nothing(paper, folders, words, said):
    answer = paper("start", *words)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert not folders.paper.exists()


def test_a_symbol_without_a_price_waits_for_one(paper, folders):
    with Ledger(folders.desk) as ledger:
        ledger.subscribe(Symbol("SIM", "ETHUSD"), "sim", NOON)
    answer = paper("start", "sma-cross", "--symbol", "SIM:ETHUSD", "--interval", "1m")

    assert answer.code == 2
    assert "no price of SIM:ETHUSD is known yet" in answer.err


def test_wrong_use_of_runs_is_one_sentence(paper, made):
    for words, said in (
        (("stop",), "name the runs to stop, or all of them"),
        (("stop", made, "--all"), "not both"),
        (("stop", "macd"), "no paper run 'macd'"),
        (("trades", "sma-corss"), "did you mean sma-cross"),
        (("revive", made), "is running, so there is nothing to revive"),
        (("remove", made, "--yes"), f"`pq paper stop {made} --flatten` first"),
        (("trades", "--start", "2026-01-02", "--end", "2026-01-01"), "is not after --start"),
    ):
        answer = paper(*words)
        assert answer.code == 2, words
        assert said in answer.err, words
        assert answer.err.count("\n") == 1, words


def test_a_desk_on_which_nothing_was_started_is_read_and_left_as_it_is(paper, folders):
    assert paper("status", "--json").json() == []
    assert paper("trades", "--json").json() == []
    assert paper("summary").err == "no paper run has begun yet: `pq paper status` shows what was asked for\n"
    assert paper("stop", "--all").code == 2
    assert not folders.paper.exists()


def test_a_strategy_of_ones_own_goes_on_as_it_was(paper, pq, desk, book):
    """The source travels with the run, so what becomes of the file afterwards changes nothing."""
    pq("strategies", "new", "mine", "--data-dir", desk)
    path = desk / "strategies" / "mine.py"
    first = paper("start", "mine", *BASICS)
    before = path.read_text()
    path.write_text(before + "\n# Another thought.\n")
    second = paper("start", "mine", *BASICS)

    assert (first.code, second.code) == (0, 0)
    sources = [one.body["source"] for one in book_controls(book)]
    assert sources == [before, before + "\n# Another thought.\n"]
