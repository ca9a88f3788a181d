# ruff: noqa: ANN001, ANN202, B018, INP001
"""A tour of a desk's data from Python, as a marimo notebook.

Open it with `marimo edit docs/notebook.py` (`pip install marimo` first). It reads the desk that `POCKETQUANT_DATA_DIR`
names, else the platform's, running or not, and writes nothing.
"""

import marimo

__generated_with = "0.14.0"
app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import plotly.graph_objects as go
    import polars as pl

    import pocketquant

    desk = pocketquant.open()
    return desk, go, mo, pl


@app.cell
def _(desk, mo):
    mo.md(f"""
# What this desk knows

`pocketquant.open()` gives bars, ticks, quotes, gaps and revisions as Polars frames, with the arguments of `pq`.
This is `{desk!r}`. What its bar store holds:
""")


@app.cell
def _(desk):
    series = desk.series()
    series
    return (series,)


@app.cell
def _(mo, pl, series):
    names = series.filter(pl.col("interval") == "1m").select(pl.format("{}:{}", "exchange", "symbol")).to_series()
    symbol = mo.ui.dropdown(names.to_list(), value=names[0] if len(names) else None, label="symbol")
    interval = mo.ui.dropdown(series["interval"].unique(maintain_order=True).to_list(), value="1m", label="interval")
    mo.hstack([symbol, interval], justify="start")
    return interval, symbol


@app.cell
def _(mo):
    mo.md("""
## Bars

Times are UTC to the nanosecond. `state` says how far a bar can be trusted: `forming` is not over yet, `partial`
was built across an outage. Prices are as they traded; `adjust="splits"` or `"all"` adjusts them on reading.
""")


@app.cell
def _(desk, interval, symbol):
    bars = desk.bars(symbol.value, interval.value, limit=300, newest_first=False)
    bars
    return (bars,)


@app.cell
def _(bars, go, symbol):
    figure = go.Figure(
        go.Candlestick(
            x=bars["start"].to_list(),
            open=bars["open"].to_list(),
            high=bars["high"].to_list(),
            low=bars["low"].to_list(),
            close=bars["close"].to_list(),
        )
    )
    figure.update_layout(title=symbol.value, xaxis_rangeslider_visible=False, margin={"t": 40, "b": 20})
    figure


@app.cell
def _(mo):
    mo.md("""
## From one frame to the next

How far the price moved in each bar, and how much of what was traded in it was bought. `ticks` are the trades as
they were journaled; those of days that the journal has let go come out of the archive.
""")


@app.cell
def _(bars, desk, pl, symbol):
    ticks = desk.ticks(symbol.value, start=bars["start"].min(), end=bars["end"].max())
    bought = (
        ticks.sort("event_time")
        .join_asof(bars.select("start"), left_on="event_time", right_on="start")
        .group_by("start")
        .agg(
            pl.col("size").filter(pl.col("aggressor") == "buy").sum().alias("bought"),
            pl.col("size").sum().alias("traded"),
        )
    )
    moves = (
        bars.with_columns((pl.col("close") / pl.col("open") - 1).alias("move"))
        .join(bought, on="start", how="left")
        .select("start", "move", "volume", (pl.col("bought") / pl.col("traded")).alias("share_bought"), "state")
    )
    moves
    return moves, ticks


@app.cell
def _(mo):
    mo.md("""
## What to trust

How many bars are in which state; the outages behind those that are `partial`; and every version of a bar since
it closed, by who wrote it. `as_of` shows what was known at a moment, so that a backtest cannot look ahead.
""")


@app.cell
def _(bars, desk, mo, symbol):
    states = bars.group_by("state").len().sort("state")
    gaps = desk.gaps(symbol.value)
    mo.hstack([states, gaps])
    return gaps, states


@app.cell
def _(bars, desk, interval, symbol):
    revisions = desk.revisions(symbol.value, interval.value, start=bars["start"].min())
    then = desk.bars(symbol.value, interval.value, as_of=bars["updated_at"].sort()[len(bars) // 2], limit=None)
    revisions.select("writer", "start", "close", "state", "revision", "updated_at")
    return revisions, then


if __name__ == "__main__":
    app.run()
