"""A sweep's report as Markdown."""

from backtest.heat_map import HeatMap
from backtest.markdown import line_of, pairs, table
from backtest.sweep_report import SweepReport, cells, figure_worded, heads, label

SHOWN = 15
WIDE = 14
"""Columns of a heat map that a line of text has room for."""


def sweep_markdown(report: SweepReport) -> str:
    """The report's text; ends with a line break."""
    best = report.best
    parts = [f"# {line_of(report.title)}", line_of(report.subtitle)]
    parts += ["## Before trusting it", line_of(report.lucky)]
    parts += ["\n".join(f"- {line_of(note)}" for note in report.notes)]
    parts += ["## The best", candidates(report, SHOWN)]
    if report.ranked > SHOWN:
        parts.append(f"All {report.ranked:,} are in `results.csv`; the first one's own report is `best/report.md`.")
    else:
        parts.append("The first one's own report is `best/report.md`.")
    for one in report.maps:
        if len(one.columns) <= WIDE:
            parts += [f"## {label(report.metric)} by {one.x} (across) and {one.y} (down)", _map(one, report)]
    parts += ["## Assumptions", pairs(best.assumptions), "## Sweep", pairs(report.facts)]
    return "\n\n".join(parts) + "\n"


def candidates(report: SweepReport, most: int) -> str:
    """The best candidates."""
    return table(heads(report), (cells(report, place) for place in range(min(most, len(report.rows)))))


def _map(one: HeatMap, report: SweepReport) -> str:
    def cell(value: float) -> str:
        return figure_worded(report.metric, value, "")

    return table(
        ("", *one.columns),
        ((name, *map(cell, values.tolist())) for name, values in zip(one.rows, one.values, strict=True)),
    )
