"""A run's page in Prefect's UI: what came of it in a line, links to its files, pictures, and the report below."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from flows import artifacts, run_pictures
from flows.report_files import link

if TYPE_CHECKING:
    from backtest.on_desk import Done
    from backtest.output import Output
    from backtest.running import Run
    from sinks.places import Place

SYMBOLS_DRAWN: Final = 3
FILES: Final = (
    "report.html", "best/report.html", "results.csv", "results.parquet", "windows.csv", "trades.csv", "orders.csv",
    "fills.csv", "equity.parquet", "metrics.json", "manifest.json",
)  # fmt: skip
"""Those that are linked, of any kind of run."""
_WORDS: Final = {"report.html": "the whole report", "best/report.html": "the best one's own"}


def page(done: "Done", runs: Path) -> str:
    """A run as Markdown.

    Args:
        done: The run and where its files are.
        runs: Folder of the desk's runs; files elsewhere have no links.
    """
    from backtest.report_md import markdown

    report = done.run.report
    # The text begins with the title and the subtitle, and goes on with its sections.
    below = markdown(report).split("\n\n", 2)[2]
    parts = [
        f"### {report.title}",
        report.subtitle,
        f"**{outcome(done.run)}**",
        links(done.made, done.place, runs),
        artifacts.picture(run_pictures.equity(report), "equity, and buy and hold; drawdown"),
    ]
    for chart in report.charts[:SYMBOLS_DRAWN]:
        mine = report.trades[report.trades["symbol"] == report.symbols.index(chart.symbol)]
        parts.append(artifacts.picture(run_pictures.trades(chart, mine), f"entries and exits of {chart.symbol}"))
    return "\n\n".join([*parts, below])


def outcome(run: "Run") -> str:
    """What came of a run, in a line."""
    from backtest.report import worded

    ours, held = run.metrics, run.benchmark
    return (
        f"return {worded(ours.total_return, 'fraction')}, buying and holding {worded(held.total_return, 'fraction')}; "
        f"deepest drawdown {worded(ours.drawdown_max, 'fraction')}; Sharpe {worded(ours.sharpe, 'number')}; "
        f"{worded(ours.trades, 'count')} trades"
    )


def links(made: "Output", place: "Place", runs: Path) -> str:
    """Where a run's files are, with links that a browser can follow where it can.

    Args:
        made: The files.
        place: Where they are.
        runs: Folder of the desk's runs; files elsewhere have no links.
    """
    where = place.where
    linked = [f"[{_WORDS.get(name, name)}]({found})" for name in FILES
              if name in made.files and (found := link(Path(where) / name, runs))]  # fmt: skip
    return " · ".join([*linked, f"run `{made.run}`", f"files in `{where}`"])
