"""A run's report as one page that opens anywhere and needs no network: its styles, script and data are in it."""

from typing import TYPE_CHECKING, Any, Final

from backtest.page import page
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
from backtest.report_pictures import chart_note, pictures
from trading.records import Reason

if TYPE_CHECKING:
    from markupsafe import Markup

TRADES_MAX: Final = 1_000

_TILES: Final = ("equity_end", "total_return", "cagr", "sharpe", "drawdown_max", "win_rate", "profit_factor", "trades")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TRADE_COLUMNS: Final = (
    "symbol", "side", "size", "entry", "entry price", "exit", "exit price", "P&L", "return", "fees", "entry by",
    "exit by",
)  # fmt: skip


def html(report: Report) -> str:
    """The page. The same report gives the same page, to the byte."""
    return page(
        "report.html.jinja",
        report.title,
        report.subtitle,
        pictures(report),
        report=report,
        tiles=tiles(report),
        charts=[{"name": f"{chart.symbol} {chart.interval}", "note": chart_note(chart)} for chart in report.charts],
        sections=_sections(report),
        luck=luck_lines(report),
        drawn_columns=DRAWN_COLUMNS,
        drawn=[] if report.drawn is None else drawn_rows(report.drawn),
        month_names=_MONTHS,
        years=years(report),
        cell=_cell,
        trade_columns=_TRADE_COLUMNS,
        trades=_trades(report),
        trades_left_out=max(len(report.trades) - TRADES_MAX, 0),
        worded=worded,
    )


def tiles(report: Report) -> list[tuple[str, str, str, str]]:
    """Label, value, the benchmark's value and the class of its sign."""
    found = []
    known = {name: (label, form) for _, rows in SECTIONS for name, label, form in rows}
    for name in _TILES:
        label, form = known[name]
        value = getattr(report.metrics, name)
        theirs = "" if name in OF_TRADES else worded(getattr(report.benchmark, name), form, report.currency)
        sign = _sign(value) if name in {"total_return", "cagr", "sharpe"} else ""
        found.append((label, worded(value, form, report.currency), theirs, sign))
    return found


def _sections(report: Report) -> list[tuple[str, list[tuple[str, str, str]]]]:
    return [
        (
            heading,
            [
                (
                    label,
                    worded(getattr(report.metrics, name), form, report.currency),
                    "" if name in OF_TRADES else worded(getattr(report.benchmark, name), form, report.currency),
                )
                for name, label, form in rows
            ],
        )
        for heading, rows in SECTIONS
    ]


def _cell(value: float | None) -> "Markup":
    """A cell of the table of months: the deeper its colour, the further from nothing, up to 10 %."""
    from markupsafe import Markup

    if value is None:
        return Markup("<td></td>")
    colour = "46, 158, 107" if value >= 0 else "209, 73, 91"
    depth = min(abs(value) / 0.10, 1.0) * 0.55
    return Markup('<td style="background: rgba({}, {:.2f})">{:.1f}</td>').format(colour, depth, value * 100)


Cell = tuple[str, float | None, str]
"""Text, the number that it is sorted by (None: the text itself), and the class of its sign."""


def _trades(report: Report) -> list[list[Cell]]:
    """Newest first."""
    rows: list[list[Cell]] = []
    for trade in report.trades[-TRADES_MAX:][::-1]:
        pnl, gain = float(trade["pnl"]), float(trade["gain"])
        rows.append(
            [
                (str(report.symbols[trade["symbol"]]), None, ""),
                ("long" if trade["side"] > 0 else "short", None, ""),
                _number(trade["units"]),
                (when(report, int(trade["entry_time"])), None, ""),
                _number(trade["entry_price"]),
                (when(report, int(trade["exit_time"])), None, ""),
                _number(trade["exit_price"]),
                (worded(pnl, "money"), pnl, _sign(pnl)),
                (worded(gain, "fraction"), gain, _sign(gain)),
                (worded(float(trade["fees"]), "money"), float(trade["fees"]), ""),
                (str(Reason(trade["entry_reason"])), None, ""),
                (str(Reason(trade["exit_reason"])), None, ""),
            ]
        )
    return rows


def _number(value: Any) -> Cell:
    return price(float(value)), float(value), ""


def _sign(value: float) -> str:
    return "up" if value > 0 else "down" if value < 0 else ""
