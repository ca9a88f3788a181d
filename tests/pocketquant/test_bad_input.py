"""What a user's mistake gets: one line that names it, exit 2, and a desk that is as it was."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest

from infra.folders import Folders
from pocketquant import cli

BARS = ("bars", "SIM:BTCUSD", "1m")


def commands(group=cli.pq, path=()):
    """Every command and subcommand, by its path."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_explains_itself_with_an_example(pq, path):
    answer = pq(*path, "--help")
    assert answer.code == 0
    assert "Examples:" in answer.out
    assert f"pq {' '.join(path)}" in answer.out.partition("Examples:")[2]


@pytest.mark.parametrize(
    "path", [path for path, command in commands() if not isinstance(command, click.Group)], ids=" ".join
)
def test_every_command_takes_a_data_folder_and_a_config(pq, path):
    text = pq(*path, "--help").out
    assert "--data-dir" in text
    assert "--config" in text


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["bars", "BTCUSD", "1m"], ["pq bars", "'BTCUSD'", "EXCHANGE:TICKER"]),
        (["bars", "SIM:BTCUSD", "7m"], ["pq bars", "'7m'", "1m 3m 5m"]),
        (["bars", "SIM:BTCUSD"], ["pq bars", "INTERVAL"]),
        ([*BARS, "--start", "yesterday"], ["pq bars", "--start", "'yesterday'", "2026-01-02"]),
        ([*BARS, "--start", "2026-01-02", "--end", "2026-01-02"], ["--end", "not after", "--start"]),
        ([*BARS, "--limit", "0"], ["--limit", "0"]),
        ([*BARS, "--adjust", "dividends"], ["--adjust", "'dividends'", "splits"]),
        ([*BARS, "--state", "open"], ["--state", "'open'", "forming"]),
        ([*BARS, "--format", "parquet"], ["parquet", "--output"]),
        ([*BARS, "--json", "--format", "csv"], ["--json", "csv", "contradict"]),
        ([*BARS, "--colour"], ["--colour"]),
        (["ticks", "SIM:BTCUSD", "--end", "2026-02-30"], ["--end", "'2026-02-30'"]),
        (["chart", "SIM:BTCUSD", "1m", "--output", "x.gif"], ["x.gif", ".png", ".html"]),
        (["export", "SIM:BTCUSD", "1m", "--output", "x.xls"], ["x.xls", "parquet"]),
        (["export", "SIM:BTCUSD", "1m"], ["--output"]),
        (["quotes", "--watch", "--output", "x.csv"], ["--watch", "--output"]),
        (["subscribe"], ["pq subscribe", "SYMBOLS"]),
        (["alert", "add", "SIM:BTCUSD", "above", "nan"], ["PRICE", "nan"]),
        (["alert", "add", "SIM:BTCUSD", "near", "1"], ["'near'", "above"]),
        (["up", "--feed", "nasdaq"], ["pq up", "'nasdaq'", "kraken"]),
        (["up", "--feed", "sim", "--feed", "kraken"], ["sim", "never mixed"]),
        (["barz"], ["'barz'", "did you mean bars"]),
        (["frobnicate"], ["'frobnicate'", "bars"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_line_and_exit_2(pq, desk, arguments, names):
    data_dir = [] if arguments[0] in {"barz", "frobnicate"} else ["--data-dir", desk]
    answer = pq(*arguments, *data_dir)

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert [name for name in names if name not in answer.err] == []


READS = [
    *(["status"], ["symbols"], ["quotes"], BARS, ["chart", "SIM:BTCUSD", "1m"], ["ticks", "SIM:BTCUSD"], ["gaps"]),
    *(["rejects"], ["export", "SIM:BTCUSD", "1m", "--output", "x.csv"], ["alert", "list"], ["down"]),
]


@pytest.mark.parametrize("arguments", READS, ids=" ".join)
def test_reading_a_folder_that_is_no_desk_creates_nothing(pq, tmp_path, monkeypatch, arguments):
    """Neither one that is not there, nor an empty one, nor a file."""
    monkeypatch.chdir(tmp_path)
    absent, empty, file = tmp_path / "absent", tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.touch()
    for data_dir in (absent, empty, file):
        answer = pq(*arguments, "--data-dir", data_dir)
        assert (answer.code, answer.out) == (2, "")
        assert str(data_dir) in answer.err
    assert sorted(tmp_path.iterdir()) == [empty, file]
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        ("gracee = 2", ["pocketquant.toml", "gracee", "unknown"]),
        ("grace_s = 'two'", ["pocketquant.toml", "grace_s", "number", "'two'"]),
        ("grace_s =", ["pocketquant.toml", "not TOML"]),
    ],
)
def test_a_wrong_config_is_named_by_any_command(pq, desk, toml, names):
    (desk / "pocketquant.toml").write_text(toml)
    answer = pq(*BARS, "--data-dir", desk)
    assert answer.code == 2
    assert [name for name in names if name not in answer.err] == []


def test_a_config_that_is_not_there_is_named(pq, desk, tmp_path):
    answer = pq(*BARS, "--data-dir", desk, "--config", tmp_path / "none.toml")
    assert answer.code == 2
    assert "none.toml cannot be read" in answer.err


def test_an_exchange_without_a_calendar_is_never_taken_for_one(pq, desk):
    """Silently 24/7 would cut its bars wrongly."""
    answer = pq("subscribe", "NOWHERE:ABC", "--data-dir", desk)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "NOWHERE" in answer.err
    assert [row["exchange"] for row in pq("symbols", "--json", "--data-dir", desk).json()] == ["SIM"]


def test_a_feed_that_does_not_carry_a_symbol_is_refused(pq, desk):
    answer = pq("subscribe", "KRAKEN:BTCUSD", "--feed", "okx", "--data-dir", desk)
    assert answer.code == 2
    assert "KRAKEN:BTCUSD is not carried by feed okx; kraken does" in answer.err


def test_a_damaged_store_is_named(pq, desk):
    Folders(desk).bars.write_bytes(b"not a database" * 1000)
    answer = pq(*BARS, "--data-dir", desk)
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "bars.sqlite" in answer.err


def test_a_corrupt_journal_row_is_skipped_and_said(pq, desk, fill):
    """What is stored before and after it is still readable."""
    noon = 1_767_355_200 * 10**9
    fill.ticks([(noon + 10**9, 9.5, 1.0, 8, 1)])
    (file,) = Folders(desk).journal.glob("*.sqlite")
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE rows SET payload = zeroblob(length(payload)) WHERE seq = 1")
    answer = pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk)
    assert answer.code == 1
    assert [row["price"] for row in answer.json()] == [9.5]
    assert "skipped" in answer.err
    assert file.name in answer.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(pq, tmp_path):
    folder = tmp_path / "desk"
    folder.mkdir(mode=0o500)
    answer = pq("up", "--feed", "sim", "--data-dir", folder)
    assert answer.code == 1
    assert str(folder) in answer.err


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log(pq, desk, monkeypatch):
    """A defect of ours is not thrown at the user."""

    def broken(*_args, **_options):
        return 1 / 0

    monkeypatch.setattr("pocketquant.reading.read_bars", broken)
    answer = pq(*BARS, "--data-dir", desk)
    log = Folders(desk).log_file("pq")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"pq: unexpected ZeroDivisionError: division by zero; the traceback is in {log}\n"
    assert "in broken" in log.read_text()


def test_a_reader_that_has_seen_enough_is_no_error(desk, fill):
    """`pq bars ... | head -1`."""
    noon = 1_767_355_200 * 10**9
    fill.bars([fill.bar(noon + n * 60 * 10**9) for n in range(3000)])
    command = [sys.executable, "-c", "from pocketquant.cli import main; main()", *BARS, "--all", "--json"]
    with subprocess.Popen(
        [*command, "--data-dir", str(desk)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
