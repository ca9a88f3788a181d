"""`pq backtest` and `pq report` as a user meets them."""

import csv
import json
import math

import polars as pl
import pytest

FILES = {
    "equity.parquet", "fills.csv", "manifest.json", "metrics.json", "orders.csv", "report.html", "report.md",
    "trades.csv",
}  # fmt: skip
BASICS = ("--symbol", "SIM:BTCUSD", "--interval", "1h")
DAYS = ("--symbol", "NASDAQ:GOOG", "--interval", "1d")
TRADE_COLUMNS = "symbol,side,size,entry_time,exit_time,entry_price,exit_price,pnl,return,fees,entry_reason,exit_reason"


@pytest.fixture
def waves(tmp_path):
    """A file of hourly bars, whose price goes up and down in waves of 60 hours."""
    path = tmp_path / "waves.csv"
    lines = ["start,open,high,low,close,volume"]
    before = 100.0
    for hour in range(400):
        close = round(100 + 10 * math.sin(hour / 60 * 2 * math.pi), 2)
        day, clock = divmod(hour, 24)
        high, low = max(before, close) + 0.5, min(before, close) - 0.5
        lines.append(f"2024-01-{day + 1:02d}T{clock:02d}:00:00Z,{before},{high},{low},{close},5")
        before = close
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def days(tmp_path):
    """A file of nine sessions of a share."""
    path = tmp_path / "days.csv"
    dates = [f"2024-01-{day:02d},100,101,99,100.5,5" for day in (2, 3, 4, 5, 8, 9, 10, 11, 12)]
    path.write_text("\n".join(["date,open,high,low,close,volume", *dates]) + "\n")
    return path


@pytest.fixture
def home(tmp_path):
    """A data folder in which nothing was yet."""
    return tmp_path / "home"


@pytest.fixture
def ran(pq, waves, home, tmp_path):
    """One run of sma-cross on the waves: its answer and its folder."""
    folder = tmp_path / "out"
    answer = pq("backtest", "sma-cross", *BASICS, "--file", waves, "--output", folder, "--data-dir", home)
    assert answer.code == 0, answer.err
    return answer, folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_its_files_and_says_where(ran):
    answer, folder = ran

    assert {path.name for path in folder.iterdir()} == FILES
    assert str(folder) in answer.err
    assert "Sharpe" in answer.out


def test_trades_have_the_columns_that_are_promised_and_times_that_read_back(ran):
    _, folder = ran
    trades = rows(folder / "trades.csv")

    assert (folder / "trades.csv").read_text().splitlines()[0] == TRADE_COLUMNS
    assert len(trades) > 5
    assert {trade["side"] for trade in trades} == {"long", "short"}
    assert [trade["exit_reason"] for trade in trades] == ["signal"] * (len(trades) - 1) + ["end"]
    assert all(trade["entry_time"].endswith(":00:00Z") for trade in trades)
    # Reversing at each cross: one ends where the next begins.
    assert [trade["exit_time"] for trade in trades[:-1]] == [trade["entry_time"] for trade in trades[1:]]


def test_figures_equity_and_trades_agree_with_each_other(ran):
    _, folder = ran
    metrics = json.loads((folder / "metrics.json").read_text())
    equity = pl.read_parquet(folder / "equity.parquet")
    trades = rows(folder / "trades.csv")

    assert equity.columns == ["time", "equity", "cash", "exposure", "drawdown"]
    assert len(equity) == 400
    assert metrics["equity_end"] == equity["equity"][-1]
    assert metrics["trades"] == len(trades)
    assert 10_000 + sum(float(trade["pnl"]) for trade in trades) == pytest.approx(metrics["equity_end"], abs=1e-6)
    assert metrics["drawdown_max"] == pytest.approx(equity["drawdown"].max(), abs=1e-12)
    assert metrics["begin"] == "2024-01-01T00:00:00Z"


def test_what_never_closes_trades_in_fractions_and_lots_are_an_option(ran, pq, waves, home, tmp_path):
    _, folder = ran
    other = tmp_path / "whole"
    pq("backtest", "sma-cross", *BASICS, "--file", waves, "--lot", 1, "--output", other, "--data-dir", home)

    assert any(float(trade["size"]) % 1 for trade in rows(folder / "trades.csv"))
    assert not any(float(trade["size"]) % 1 for trade in rows(other / "trades.csv"))


def test_a_run_is_made_again_from_its_manifest_to_the_byte(ran, pq, home, tmp_path):
    _, folder = ran
    again = tmp_path / "again"
    answer = pq("backtest", "--from", folder / "manifest.json", "--output", again, "--data-dir", home)

    assert answer.code == 0
    assert "the same to the byte" in answer.err
    for name in FILES:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("more", "named"), [(("--cash", "5"), "--cash"), (("rsi",), "STRATEGY"), (("--no-look-ahead-check",), "--no-look")]
)
def test_what_a_manifest_has_is_not_asked_for_beside_it(ran, pq, home, tmp_path, more, named):
    """It would be without effect, and who wrote it would not know."""
    _, folder = ran
    answer = pq("backtest", *more, "--from", folder, "--output", tmp_path / "again", "--data-dir", home)

    assert answer.code == 2
    assert f"--from has all of the run in its manifest: leave {named}" in answer.err
    assert not (tmp_path / "again").exists()


def test_a_run_on_other_bars_says_what_has_changed(ran, pq, waves, home, tmp_path):
    _, folder = ran
    text = waves.read_text()
    waves.write_text(text.replace(",5\n", ",6\n", 1))
    answer = pq("backtest", "--from", folder, "--output", tmp_path / "again", "--data-dir", home)

    assert answer.code == 1
    assert "changed: bars of SIM:BTCUSD 1h have other values" in answer.err
    assert "changed: trades.csv" not in answer.err


def test_a_split_that_came_to_be_known_makes_another_run_and_is_said(pq, days, home, tmp_path):
    """It changes what the strategy sees and what becomes of positions, so the run's id must not be the same."""
    run = ("backtest", "buy-and-hold", *DAYS, "--file", days, "--data-dir", home, "--output")
    ran = [pq(*run, tmp_path / "out", "--json").json()["run"]]
    splits = tmp_path / "actions.csv"
    for ratio in (2, 4):
        splits.write_text(f"symbol,date,kind,value,currency\nNASDAQ:GOOG,2024-01-10,split,{ratio},\n")
        assert pq("actions", "import", splits, "--data-dir", home).code == 0
        answer = pq("backtest", "--from", tmp_path / "out", "--output", tmp_path / f"by {ratio}", "--data-dir", home)
        assert answer.code == 1
        assert "splits and dividends in the bars of NASDAQ:GOOG 1d: not known then, 1 now" in answer.err
        ran.append(pq(*run, tmp_path / f"anew {ratio}", "--json").json()["run"])
    answer = pq("backtest", "--from", tmp_path / "by 2", "--output", tmp_path / "again", "--data-dir", home)

    assert "splits and dividends in the bars of NASDAQ:GOOG 1d: 1 then, 1 of other values now" in answer.err
    assert len({*ran}) == 3


def test_a_changed_strategy_is_said(pq, waves, home, tmp_path):
    assert pq("strategies", "new", "mine", "--data-dir", home).code == 0
    run = ("backtest", "mine", *BASICS, "--file", waves, "--output", tmp_path / "out", "--data-dir", home)
    assert pq(*run).code == 0
    path = home / "strategies" / "mine.py"
    path.write_text(path.read_text() + "\n# A thought.\n")
    answer = pq("backtest", "--from", tmp_path / "out", "--output", tmp_path / "again", "--data-dir", home)

    assert answer.code == 1
    assert "changed: strategy mine has changed: its file's hash was" in answer.err


def test_runs_are_listed_and_their_reports_found_by_how_the_id_begins(ran, pq, home, tmp_path):
    _, folder = ran
    listed = pq("report", "--json", "--data-dir", home).json()
    run = listed[0]["run"]
    shown = pq("report", run[:6], "--data-dir", home)
    page = tmp_path / "page.html"

    assert [one["strategy"] for one in listed] == ["sma-cross"]
    assert shown.out == (folder / "report.md").read_text()
    assert pq("report", folder, "--data-dir", home).out == shown.out
    assert pq("report", run, "--json", "--data-dir", home).json()["trades"] == listed[0]["trades"]
    assert pq("report", run, "--output", page, "--data-dir", home).code == 0
    assert page.read_bytes() == (folder / "report.html").read_bytes()


def test_without_an_output_folder_a_run_is_among_the_desks_own(pq, waves, home):
    answer = pq("backtest", "buy-and-hold", *BASICS, "--file", waves, "--json", "--data-dir", home)
    found = answer.json()

    assert found["folder"] == str(home / "runs" / f"buy-and-hold-{found['run']}")
    assert {path.name for path in (home / "runs" / f"buy-and-hold-{found['run']}").iterdir()} == FILES


def test_bars_of_the_store_give_the_trades_that_the_file_gives(ran, pq, waves, home, tmp_path):
    _, folder = ran
    assert pq("import", waves, *BASICS, "--data-dir", home).code == 0
    stored = tmp_path / "stored"
    answer = pq("backtest", "sma-cross", *BASICS, "--output", stored, "--data-dir", home)

    assert answer.code == 0, answer.err
    assert (stored / "trades.csv").read_text() == (folder / "trades.csv").read_text()


def test_costs_are_charged_and_named(ran, pq, waves, home, tmp_path):
    _, folder = ran
    dear = tmp_path / "dear"
    costs = ("--fees", "10bps", "--slippage", "5bps")
    pq("backtest", "sma-cross", *BASICS, "--file", waves, *costs, "--output", dear, "--data-dir", home)
    free, paid = (json.loads((one / "metrics.json").read_text()) for one in (folder, dear))

    assert free["fees"] == 0
    assert paid["fees"] > 0
    assert paid["slippage_bps"] == pytest.approx(5.0, rel=1e-2)
    assert paid["equity_end"] < free["equity_end"]
    assert "10 bps" in (dear / "report.md").read_text()


def test_what_holding_costs_and_what_stops_a_run_are_options(ran, pq, waves, home, tmp_path):
    _, folder = ran
    held = tmp_path / "held"
    given = ("--funding", "0.01", "--interest", "6", "--max-orders", "2", "--max-drawdown", "0.01", "--flatten-on-loss")
    pq("backtest", "sma-cross", *BASICS, "--file", waves, *given, "--output", held, "--data-dir", home)
    free, paid = (json.loads((one / "metrics.json").read_text()) for one in (folder, held))
    told = (held / "report.md").read_text()

    assert paid["equity_end"] != free["equity_end"]
    assert "funding of 0.01 % each 8 hours" in told
    assert "no new risk after a drawdown of 1.00%, then flat; up to 2 orders a minute" in told
    assert "6 % a year on negative cash" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("sma-cros",), 2, "did you mean sma-cross"),
        (("sma-cross", "--param", "fast=40"), 2, "fast 40 is not below slow 30"),
        (("sma-cross", "--param", "fast=0"), 2, "parameter fast (1 to 100000)"),
        (("sma-cross", "--param", "quick=3"), 2, "no parameter 'quick'"),
        (("sma-cross", "--param", "fast"), 2, "is not NAME=VALUE"),
        (("sma-cross", "--param", "slow=5000"), 1, "wants more than 5000 to warm up"),
        (("sma-cross", "--cash", "0.5"), 1, "cash must be between 1 and"),
        (
            ("sma-cross", "--cash", "5", "--lot", "1"),
            1,
            "cash 5 USD buys nothing of SIM:BTCUSD: the smallest size is 1,",
        ),
        (("sma-cross", "--lot", "0"), 1, "--lot 0: Input should be greater than 0"),
        (("sma-cross", "--lot", "1e-9"), 1, "a lot is a whole number of 1e-8 units"),
        (("sma-cross", "--fees", "many"), 2, "fees 'many' are not understood"),
        (("sma-cross", "--slippage", "-3"), 2, "slippage '-3'"),
        (("sma-cross", "--leverage", "0"), 2, "leverage"),
        (("sma-cross", "--max-daily-loss", "1"), 2, "max-daily-loss: Input should be less than 1; it is 1.0"),
        (("sma-cross", "--borrow", "-1"), 2, "borrow: Input should be greater than or equal to 0; it is -1.0"),
        (("sma-cross", "--funding", "100"), 2, "funding: Input should be less than 100"),
        (("sma-cross", "--seed", "-1"), 2, "Invalid value for '--seed'"),
        (("sma-cross", "--start", "2030-01-01"), 1, "no bars of SIM:BTCUSD 1h in the file waves.csv from 2030-01-01"),
        (("sma-cross", "--end", "2024-01-01", "--start", "2024-01-02"), 2, "is not after --start"),
        (("pair",), 1, "pair decides on 2 symbols together; the run has 1"),
        (("trend-cross",), 1, "also sees 1d bars"),
        (("sma-cross", "--today", "--start", "2024-01-01"), 2, "--today goes with neither"),
        (("sma-cross", "--symbol", "SIM:BTCUSD"), 2, "names one twice"),
        (("sma-cross", "--archive"), 2, "contradict"),
        (("sma-cross", "--quoted", "SIM:BTCUSD=EUR"), 1, "name the bars of the rate, such as --rate EUR=FX:EURUSD"),
        (("sma-cross", "--quoted", "SIM:ETHUSD=EUR"), 1, "SIM:ETHUSD is none of the run's symbols"),
        (("sma-cross", "--rate", "EUR"), 2, "--rate 'EUR' is not NAME=VALUE"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(pq, waves, home, tmp_path, arguments, code, words):
    folder = tmp_path / "out"
    answer = pq("backtest", *arguments, *BASICS, "--file", waves, "--output", folder, "--data-dir", home)

    assert answer.code == code
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err
    assert not folder.exists()


def test_what_is_missing_is_said_with_what_to_do(pq, home):
    nothing = pq("backtest", "sma-cross", *BASICS, "--data-dir", home)

    assert nothing.code == 1
    assert "`pq sync SIM:BTCUSD 1h`" in nothing.err
    assert pq("backtest", "--data-dir", home).code == 2
    assert pq("report", "nothing", "--data-dir", home).code == 2


def test_a_folder_of_other_things_is_not_written_into(pq, waves, home, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    answer = pq("backtest", "sma-cross", *BASICS, "--file", waves, "--output", tmp_path / "letters", "--data-dir", home)

    assert answer.code == 1
    assert "letter.txt" in answer.err
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["letter.txt"]


def test_a_run_in_two_currencies_is_measured_in_the_accounts(pq, waves, home, tmp_path):
    """At an even rate of one and a half, dollars buy two thirds of the units."""
    flat = tmp_path / "flat.csv"
    lines = waves.read_text().splitlines()
    flat.write_text("\n".join([lines[0], *(f"{line.split(',')[0]},1.5,1.5,1.5,1.5,1" for line in lines[1:])]) + "\n")
    pq("import", waves, *BASICS, "--data-dir", home)
    pq("import", flat, "--symbol", "SIM:EURUSD", "--interval", "1h", "--data-dir", home)
    options = ("--quoted", "SIM:BTCUSD=EUR", "--rate", "EUR=SIM:EURUSD", "--lot", "0.00001", "--data-dir", home)
    euros = pq("backtest", "sma-cross", *BASICS, *options, "--output", tmp_path / "euros")
    plain = pq("backtest", "sma-cross", *BASICS, "--lot", "0.00001", "--output", tmp_path / "plain", "--data-dir", home)
    assert (euros.code, plain.code) == (0, 0), euros.err
    ours, theirs = rows(tmp_path / "euros" / "trades.csv"), rows(tmp_path / "plain" / "trades.csv")

    assert len(ours) == len(theirs) > 5
    for mine, other in zip(ours, theirs, strict=True):
        assert float(mine["size"]) == pytest.approx(float(other["size"]) / 1.5, rel=1e-3)
        assert float(mine["pnl"]) == pytest.approx(float(other["pnl"]), rel=1e-3)


def test_a_run_says_whether_it_is_luck_and_draws_as_often_as_told(ran, pq, waves, home, tmp_path):
    answer, folder = ran
    drawn = json.loads((folder / "metrics.json").read_text())["monte_carlo"]
    few = tmp_path / "few"
    none = tmp_path / "none"
    pq("backtest", "sma-cross", *BASICS, "--file", waves, "--monte-carlo", 50, "--output", few, "--data-dir", home)
    pq("backtest", "sma-cross", *BASICS, "--file", waves, "--monte-carlo", 0, "--output", none, "--data-dir", home)

    assert "Had nothing else been tried, this" in answer.err
    assert "drawn from them 1,000 times" in answer.err
    assert "## Is it luck?" in (folder / "report.md").read_text()
    assert drawn["simulations"] == 1000
    assert set(drawn["drawdown_max"]) == {"actual", *(f"percentile_{place}" for place in (5, 25, 50, 75, 95))}
    metrics = json.loads((few / "metrics.json").read_text())
    assert metrics["monte_carlo"]["simulations"] == 50
    assert metrics["monte_carlo"]["total_return"]["actual"] == pytest.approx(metrics["total_return"], abs=1e-9)
    assert metrics["luck"]["sharpe"] == pytest.approx(metrics["sharpe"])
    assert json.loads((none / "metrics.json").read_text())["monte_carlo"] is None
