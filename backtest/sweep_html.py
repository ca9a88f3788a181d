"""A sweep's report as one page that opens anywhere and needs no network."""

from backtest.page import page
from backtest.report_html import tiles
from backtest.sweep_pictures import pictures
from backtest.sweep_report import SweepReport, cells, heads, label


def sweep_html(report: SweepReport) -> str:
    """The page. The same report gives the same page, to the byte."""
    return page(
        "sweep.html.jinja",
        report.title,
        report.subtitle,
        pictures(report),
        report=report,
        tiles=tiles(report.best),
        maps=[(f"{one.x} and {one.y}", 150 + 22 * min(max(len(one.rows), 10), 30)) for one in report.maps],
        profiles=[one.name for one in report.profiles],
        heads=heads(report),
        rows=[_row(report, place) for place in range(len(report.rows))],
        left_out=report.ranked - len(report.rows),
        metric=label(report.metric),
    )


def _row(report: SweepReport, place: int) -> list[tuple[str, float | str | None]]:
    """Texts, and what each is sorted by: a figure's number, a parameter's own text (None)."""
    parameters, figures = report.rows[place]
    keys = [*(None for _ in parameters), *("" if value is None else value for value in figures)]
    return list(zip(cells(report, place), keys, strict=True))
