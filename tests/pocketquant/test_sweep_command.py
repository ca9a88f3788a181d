"""`pq sweep` as a user meets it."""

import csv
import json
import math

import pytest

BASICS = ("--symbol", "SIM:BTCUSD", "--interval", "1h")
RANGES = ("--param", "fast=2:6:2", "--param", "slow=8,16")
FILES = {"best", "manifest.json", "metrics.json", "report.html", "report.md", "results.csv", "results.parquet"}


@pytest.fixture
def waves(tmp_path):
    """A file of hourly bars, whose price goes up and down in waves of 40 hours."""
    path = tmp_path / "waves.csv"
    lines = ["start,open,high,low,close,volume"]
    before = 100.0
    for hour in range(300):
        close = round(100 + 10 * math.sin(hour / 40 * 2 * math.pi), 2)
        day, clock = divmod(hour, 24)
        high, low = max(before, close) + 0.5, min(before, close) - 0.5
        lines.append(f"2024-01-{day + 1:02d}T{clock:02d}:00:00Z,{before},{high},{low},{close},5")
        before = close
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def home(tmp_path):
    """A data folder in which nothing was yet."""
    return tmp_path / "home"


@pytest.fixture
def ran(pq, waves, home, tmp_path):
    """One sweep of sma-cross on the waves: its answer and its folder."""
    folder = tmp_path / "out"
    answer = pq("sweep", "sma-cross", *BASICS, *RANGES, "--file", waves, "--output", folder, "--data-dir", home)
    assert answer.code == 0, answer.err
    return answer, folder


def test_a_sweep_writes_its_files_and_says_the_best_and_whether_it_is_luck(ran):
    answer, folder = ran
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = [line.split() for line in answer.out.splitlines()][4]

    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "best" / "trades.csv").is_file()
    assert len(rows) == 6
    assert first[:2] == [rows[0]["fast"], rows[0]["slow"]]
    assert answer.out.startswith("Sweep of sma-cross by Sharpe\nSIM:BTCUSD 1h, 2024-01-01 to 2024-01-13")
    assert "The one chosen of 6" in answer.err
    assert str(folder) in answer.err


def test_a_sweep_is_made_again_from_its_manifest_and_the_best_from_its_own(ran, pq, waves, home, tmp_path):
    _, folder = ran
    again = pq("sweep", "--from", folder / "manifest.json", "--jobs", 1, "--data-dir", home)
    best = pq("backtest", "--from", folder / "best", "--output", tmp_path / "best", "--data-dir", home)
    waves.write_text(waves.read_text().replace(",5\n", ",6\n", 1))
    other = pq("sweep", "--from", folder, "--output", tmp_path / "other", "--data-dir", home)

    assert (again.code, best.code, other.code) == (0, 0, 1)
    assert "the same to the byte" in again.err
    assert (folder / "again" / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    assert "the same to the byte" in best.err
    assert "changed: bars of SIM:BTCUSD 1h have other values" in other.err


def test_a_sweep_is_listed_and_reported_as_a_run(ran, pq, home):
    _, folder = ran
    listed = pq("report", "--json", "--data-dir", home).json()
    run = listed[0]["run"]

    assert [(one["kind"], one["strategy"]) for one in listed] == [("sweep", "sma-cross")]
    assert pq("report", run[:6], "--data-dir", home).out == (folder / "report.md").read_text()
    assert pq("report", run, "--format", "csv", "--data-dir", home).out == (folder / "results.csv").read_text()
    assert pq("report", run, "--json", "--data-dir", home).json()["sweep"]["tried"] == 6


def test_for_programs_there_is_json_and_the_desks_own_folder(pq, waves, home):
    options = ("--search", "tpe", "--trials", "4", "--metric", "total_return", "--json")
    answer = pq("sweep", "sma-cross", *BASICS, *RANGES, *options, "--file", waves, "--data-dir", home)
    found = json.loads(answer.out)

    assert answer.code == 0, answer.err
    assert found["folder"] == str(home / "runs" / f"sma-cross-sweep-{found['run']}")
    assert found["sweep"]["tried"] == 4
    assert found["sweep"]["metric"] == "total_return"
    assert found["total_return"] == max(one["total_return"] for one in found["sweep"]["best"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("sma-cros", *RANGES), 2, "did you mean sma-cross"),
        (("sma-cross",), 2, "nothing to sweep: every parameter of sma-cross has one value"),
        (("buy-and-hold",), 2, "nothing to sweep"),
        (("sma-cross", "--param", "fast=0:50:5"), 2, "parameter fast is a whole number, 1 to 100000; it is '0'"),
        (("sma-cross", "--param", "fast=5:10", "--param", "fast=6"), 2, "is given twice"),
        (("sma-cross", "--param", "fast=*", "--param", "slow=*"), 2, "more than 100,000"),
        (("sma-cross", *RANGES, "--metric", "luck"), 2, "--metric 'luck' is none of sharpe"),
        (("bollinger", "--param", "width=1:3"), 2, "write width=1:3:STEP, or use --search random or tpe"),
        (("sma-cross", "--param", "fast=30:33"), 1, "takes none of the combinations: fast 30 is not below slow 30"),
        (("sma-cross", "--param", "slow=500:600:50"), 1, "nothing came of any of the 3 combinations"),
        (("sma-cross", *RANGES, "--least-trades", "900"), 1, "none of 6 combinations has 900 trades"),
        (("sma-cross", *RANGES, "--cash", "0.5"), 1, "cash must be between 1 and"),
        (("sma-cross", *RANGES, "--start", "2030-01-01"), 1, "no bars of SIM:BTCUSD 1h in the file waves.csv"),
        (("pair", "--param", "length=10:20:5"), 1, "decides on 2 symbols together"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(pq, waves, home, tmp_path, arguments, code, words):
    folder = tmp_path / "out"
    answer = pq("sweep", *arguments, *BASICS, "--file", waves, "--output", folder, "--data-dir", home)

    assert words in answer.err
    assert answer.code == code
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err
    assert not folder.exists()


def test_manifests_are_not_confused(ran, pq, home):
    """A sweep's holds a plan too, without the parameters that were found."""
    _, folder = ran
    sweep, run = pq("backtest", "--from", folder, "--data-dir", home), pq("sweep", "--from", folder / "best")

    assert (sweep.code, run.code) == (2, 1)
    assert "is the manifest of a sweep: `pq sweep --from` makes it again" in sweep.err
    assert "`pq backtest --from` makes a backtest again" in run.err
    assert pq("sweep", "--data-dir", home).code == 2
