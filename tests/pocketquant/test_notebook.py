"""The notebook in docs runs on a desk, and shows what that desk has."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.py"


@pytest.fixture
def replayed(pq, tmp_path):
    """A desk with half an hour of trades of two sides, at a walk of prices."""
    random = np.random.default_rng(3)
    prices = np.round(100 + np.cumsum(random.normal(0, 0.1, 900)), 2)
    lines = [
        f"2026-01-02T12:{second // 60:02}:{second % 60:02}Z,{price},{size:.3f},{side}"
        for second, price, size, side in zip(
            range(0, 1800, 2), prices, random.exponential(1, 900), random.choice(["buy", "sell"], 900), strict=True
        )
    ]
    file = tmp_path / "ticks.csv"
    file.write_text("\n".join(["event_time,price,size,aggressor", *lines]))
    assert pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk").code == 0
    return tmp_path / "desk"


def test_every_cell_runs_and_says_what_is_so(replayed, monkeypatch):
    """The shares that were bought, by another way: from the ticks of one minute."""
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(replayed))
    spec = importlib.util.spec_from_file_location("notebook", NOTEBOOK)
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)

    outputs, defined = notebook.app.run()

    assert all(output is not None for output in outputs[1:])
    bars, ticks, moves = (defined[name] for name in ("bars", "ticks", "moves"))
    assert (bars.height, ticks.height, moves.height) == (30, 900, 30)
    minute = ticks.filter(ticks["event_time"].dt.minute() == 7)
    bought = minute.filter(minute["aggressor"] == "buy")["size"].sum()
    assert moves["share_bought"][7] == pytest.approx(bought / minute["size"].sum())
    assert moves["move"][7] == bars["close"][7] / bars["open"][7] - 1
    assert dict(defined["states"].rows()) == {"closed": 30}
    assert defined["gaps"].height == 0
    assert defined["revisions"].height == 30
    assert defined["then"].height == 16, "as many as were known when the sixteenth came to be"
