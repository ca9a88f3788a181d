"""A run's report as Markdown: for a terminal, a mail, a commit."""

from collections.abc import Sequence

import numpy as np

from backtest.markdown import line_of, pairs, table
from backtest.report import (
    DRAWN_COLUMNS,
    OF_TRADES,
    SECTIONS,
    Report,
    drawn_rows,
    luck_lines,
    price,
    when,
    worded,
    years,
)
from trading.records import Reason

_SHOWN = 5


def markdown(report: Report) -> str:
    """The report's text; ends with a line break."""
    parts = [f"# {line_of(report.title)}", line_of(report.subtitle)]
    if report.notes:
        parts += ["## Before trusting it", "\n".join(f"- {line_of(note)}" for note in report.notes)]
    for section in report.sections:
        parts += [f"## {section.heading}", *section.lines, table(section.columns, section.rows)]
    parts += ["## Figures", _figures(report)]
    if lines := luck_lines(report):
        parts += ["## Is it luck?", *lines]
        parts += [] if report.drawn is None else [table(DRAWN_COLUMNS, drawn_rows(report.drawn))]
    parts += ["## Months", _months(report)]
    parts += ["## Trades", *_trades(report)]
    if report.hits:
        parts += [
            "## Hit rate by bucket",
            table(
                ("by", "bucket", "trades", "hit rate", "mean return", f"P&L, {report.currency}"),
                (
                    (
                        row.dimension, row.bucket, worded(row.trades, "count"), worded(row.hit_rate, "fraction"),
                        worded(row.mean_return, "fraction"), worded(row.pnl, "money"),
                    )
                    for row in report.hits
                ),
            ),
        ]  # fmt: skip
    if report.metrics.slippage:
        parts += [
            "## Slippage by bucket",
            table(
                ("by", "bucket", "fills", f"cost, {report.currency}", "bps"),
                (
                    (
                        row.dimension, row.bucket, worded(row.fills, "count"), worded(row.cost, "money"),
                        worded(row.bps, "number"),
                    )
                    for row in report.slips
                ),
            ),
        ]  # fmt: skip
    if report.calibrated.buckets:
        parts += ["## Expected-value calibration", *_calibration(report)]
    parts += ["## Assumptions", pairs(report.assumptions), "## Run", pairs(report.facts)]
    return "\n\n".join(parts) + "\n"


def _figures(report: Report) -> str:
    rows: list[tuple[str, str, str]] = []
    for heading, figures in SECTIONS:
        rows.append((f"**{heading}**", "", ""))
        for name, label, form in figures:
            theirs = "" if name in OF_TRADES else worded(getattr(report.benchmark, name), form, report.currency)
            rows.append((label, worded(getattr(report.metrics, name), form, report.currency), theirs))
    return table(("", "strategy", "buy and hold"), rows)


def _months(report: Report) -> str:
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

    def cell(value: float | None) -> str:
        return "" if value is None else f"{value * 100:.1f}"

    return table(
        ("%", *names, "year", "buy and hold"),
        ((row.year, *map(cell, row.months), cell(row.total), cell(row.benchmark)) for row in years(report)),
    )


def _trades(report: Report) -> list[str]:
    trades = report.trades
    if len(trades) == 0:
        return ["No trades."]
    order = np.argsort(trades["gain"], kind="stable")
    if len(order) <= 2 * _SHOWN:
        return [_trade_table(report, np.arange(len(trades)).tolist())]
    return [
        "The best:",
        _trade_table(report, order[::-1][:_SHOWN].tolist()),
        "The worst:",
        _trade_table(report, order[:_SHOWN].tolist()),
        f"All {len(trades):,} are in `trades.csv`.",
    ]


def _trade_table(report: Report, places: Sequence[int]) -> str:
    rows = []
    for place in places:
        trade = report.trades[place]
        rows.append(
            (
                str(report.symbols[trade["symbol"]]), "long" if trade["side"] > 0 else "short",
                price(trade["units"]), when(report, int(trade["entry_time"])), price(trade["entry_price"]),
                when(report, int(trade["exit_time"])), price(trade["exit_price"]), worded(float(trade["pnl"]), "money"),
                worded(float(trade["gain"]), "fraction"), str(Reason(trade["exit_reason"])),
            )
        )  # fmt: skip
    return table(
        ("symbol", "side", "size", "entry", "at", "exit", "at", f"P&L, {report.currency}", "return", "exit by"), rows
    )


def _calibration(report: Report) -> list[str]:
    found = report.calibrated
    return [
        "What trades returned beside what those before them promised, in five groups by rising promise:",
        table(
            ("trades", "expected", "realised", "standard error"),
            (
                (
                    worded(row.trades, "count"), worded(row.expected, "fraction"), worded(row.realised, "fraction"),
                    worded(row.error, "fraction"),
                )
                for row in found.buckets
            ),
        ),
        f"Slope {worded(found.slope, 'number')} (1 is calibrated), bias {worded(found.bias, 'fraction')} a trade.",
    ]  # fmt: skip
