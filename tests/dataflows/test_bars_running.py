"""What ends a flow comes out as a sentence about the desk, not about the engine."""

from types import SimpleNamespace

import pytest
from bytewax.errors import BytewaxRuntimeError

from dataflows import engine
from market.errors import DeskError

PANIC = (
    "(src/run.rs:167:13) called `Result::unwrap()` on an `Err` value: SqliteFailure(Error { code: DiskFull, "
    'extended_code: 13 }, Some("database or disk is full"))'
)
"""As Bytewax 0.21.1 raised it on a disk that was full."""


def raising(error):
    def run_flow(*_, **__):
        raise error

    return run_flow


def test_a_snapshot_that_cannot_be_written_names_the_recovery_store(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "cli_main", raising(RuntimeError(PANIC)))
    with pytest.raises(DeskError, match="database or disk is full; free space") as raised:
        engine.run(None, SimpleNamespace(folder=tmp_path, config=None))
    assert str(tmp_path) in str(raised.value)


def test_what_a_step_raised_comes_out_as_it_was(tmp_path, monkeypatch):
    """The engine wraps it, and the store's own sentence is the one that helps."""
    ours = DeskError("bar store bars.sqlite: its disk is full")
    wrapped = BytewaxRuntimeError("error calling sink")
    wrapped.__cause__ = ours
    monkeypatch.setattr(engine, "cli_main", raising(wrapped))
    with pytest.raises(DeskError) as raised:
        engine.run(None, SimpleNamespace(folder=tmp_path, config=None))
    assert raised.value is ours


def test_an_engine_error_of_another_kind_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "cli_main", raising(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        engine.run(None, SimpleNamespace(folder=tmp_path, config=None))
