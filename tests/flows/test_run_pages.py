"""What a run shows of itself in Prefect's UI: its page, its pictures, and its files for the browser."""

import asyncio
import io
from math import nan
from pathlib import Path

import httpx
import numpy as np
import pytest
from ran.records import trades
from ran.report import GOOG, bars, report

from backtest.report import Chart
from flows import artifacts, run_pictures
from flows.report_files import POLICY, ReportFiles, link


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


@pytest.mark.parametrize("days", [1, 80, 20_000])
def test_a_runs_equity_is_drawn_however_long_it_was(days):
    """A picture has some hundred pixels: more points only make it slow."""
    figure = run_pictures.equity(report(days=days))
    assert drawn(figure).startswith(b"\x89PNG")
    assert len(figure.axes[0].lines[1].get_xdata()) <= run_pictures.POINTS_MOST + 2


def test_the_begin_of_each_window_is_marked():
    bounds = tuple((report().curve.time[place]) for place in (10, 40))
    figure = run_pictures.equity(report()._replace(bounds=bounds))
    assert len(figure.axes[0].lines) == 2 + len(bounds)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (3, 2), (400, 400)])
def test_a_trade_is_a_line_from_its_entry_to_its_exit(won, lost):
    """Of many the newest, and then only the bars that they were on."""
    made = trades(*[(1, 0.01)] * won, *[(-1, -0.01)] * lost)
    figure = run_pictures.trades(Chart(GOOG, "1d", bars(600)), made)
    assert drawn(figure).startswith(b"\x89PNG")
    _, *lines = figure.axes[0].lines
    assert len(lines) == min(won + lost, run_pictures.MARKS_MOST)
    assert (f"the newest {run_pictures.MARKS_MOST} of" in figure.axes[0].get_title("left")) is (won + lost > 150)


@pytest.mark.parametrize("count", [1, 5, 200])
def test_what_windows_promised_and_kept_is_drawn_however_many(count):
    """One that chose nothing has no figure."""
    names = [f"2026-{number}" for number in range(count)]
    kept = [nan, *[-0.5] * (count - 1)]
    assert drawn(run_pictures.pairs(names, ("learned", [1.0] * count), ("tested", kept), "Sharpe"))
    assert drawn(run_pictures.curves(names, [("Sharpe", kept)], "Sharpe by fast"))


def test_a_map_leaves_white_what_is_not_there():
    """One strategy may not have been run on each series."""
    figure = run_pictures.grid(["a", "b"], ["x", "y"], [[1.0, nan], [-2.0, 0.0]], "map")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.0", "-2.0", "0.0"]
    assert drawn(run_pictures.grid(["a"], ["x"], [[nan]], "nothing"))
    assert drawn(run_pictures.grid(["a"] * 30, ["x"] * 40, np.zeros((30, 40)), "flat"))


def test_the_pictures_of_a_page_are_small_enough_for_a_row_of_a_database():
    walk = 100 + np.random.default_rng(1).normal(size=4_000).cumsum()
    shown = report(days=4_000)
    noisy = shown._replace(curve=shown.curve._replace(equity=walk), benchmark_equity=walk[::-1].copy())
    assert len(artifacts.picture(run_pictures.equity(noisy), "equity")) < artifacts.PNG_BYTES * 4 / 3 + 100


def asked(runs, *paths, method="GET"):
    """What a browser gets, by path: status, policy and body."""

    async def prefect(scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"prefect"})

    async def ask():
        transport = httpx.ASGITransport(ReportFiles(prefect, runs))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = [await client.request(method, path) for path in paths]
            return [(one.status_code, one.headers.get("content-security-policy"), one.text) for one in answers]

    return asyncio.run(ask())


def test_a_report_opens_from_its_artifact_and_can_do_nothing_with_the_server(tmp_path):
    """It is a page at the server's address: without a sandbox its script could start flows."""
    folder = tmp_path / "runs" / "sma cross"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>it</h1>")
    ((status, policy, text),) = asked(tmp_path / "runs", link(folder / "report.html", tmp_path / "runs"))
    assert (status, policy, text) == (200, POLICY, "<h1>it</h1>")
    assert "sandbox allow-scripts" in POLICY
    assert "allow-same-origin" not in POLICY


def test_nothing_but_the_files_of_runs_is_given(tmp_path):
    """The desk's settings are a folder above, with the keys of providers."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "pocketquant.toml").write_text("key")
    (runs / "out").symlink_to(tmp_path)
    paths = ["/reports/%2e%2e/pocketquant.toml", "/reports/..%2fpocketquant.toml", "/reports/out/pocketquant.toml",
             "/reports/", "/reports/none"]  # fmt: skip
    assert [status for status, _, _ in asked(runs, *paths)] == [404] * len(paths)
    assert [status for status, _, _ in asked(runs, "/reports/x", method="POST")] == [405]


def test_every_other_path_is_prefects(tmp_path):
    assert [text for _, _, text in asked(tmp_path / "runs", "/", "/api/health", "/reportsx")] == ["prefect"] * 3


def test_files_elsewhere_have_no_link():
    assert link(Path("/a/b/report.html"), Path("/a/c")) == ""
