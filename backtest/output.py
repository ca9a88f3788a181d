"""The files of a run: trades, orders and equity, figures, reports, and the manifest by which it can be made again."""

import datetime as dt
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from backtest.frames import equity_frame, fills_frame, orders_frame, trades_frame
from backtest.metrics import Metrics, plain
from backtest.monte_carlo import document as drawn_document
from backtest.plan import Plan
from backtest.preparing import Acts
from backtest.reading import data_hash
from backtest.report_html import html
from backtest.report_md import markdown
from backtest.running import Run
from market.errors import DeskError
from sinks.places import Place

if TYPE_CHECKING:
    import polars as pl

FORMAT: Final = 1
"""Of the manifest."""
MANIFEST: Final = "manifest.json"
LIBRARIES: Final = ("pocketquant", "numpy", "numba", "polars", "plotly", "jinja2")
"""Those that make what is written."""

_TIMES: Final = ("begin", "end", "deepest_from", "deepest_at", "deepest_to")


class Output(NamedTuple):
    """A run as files."""

    run: str
    """Its id, made of all that it depends on."""
    files: Mapping[str, bytes]
    """By name; the manifest last."""
    manifest: Mapping[str, Any]


def output(run: Run, *, page: bool = True) -> Output:
    """Make a run's files. The same run makes the same bytes.

    Args:
        run: That is over.
        page: Whether `report.html` is among them, which is 5 MB.

    Returns:
        `trades.csv`, `orders.csv`, `fills.csv`, `equity.parquet`, `metrics.json`, `report.html`, `report.md` and
        `manifest.json`.
    """
    out, symbols = run.outcome, run.shown.symbols
    files: dict[str, bytes] = {
        "trades.csv": as_csv(trades_frame(out.trades, symbols)),
        "orders.csv": as_csv(orders_frame(out.orders, symbols)),
        "fills.csv": as_csv(fills_frame(out.fills, symbols)),
        "equity.parquet": as_parquet(equity_frame(out.curve, run.plan.cash)),
        "metrics.json": as_json(metrics_document(run)),
        **({"report.html": html(run.report).encode()} if page else {}),
        "report.md": markdown(run.report).encode(),
    }
    inputs = {
        "plan": run.plan.model_dump(mode="json"),
        "data": [
            {
                "symbol": str(one.symbol),
                "interval": str(one.interval),
                "bars": len(one.bars),
                "first": iso(int(one.bars["start"][0])),
                "last": iso(int(one.bars["start"][-1])),
                "sha256": data_hash(one.bars),
                "revised": int((one.bars["revision"] > 1).sum()),
                "revisions_sha256": sha256(np.ascontiguousarray(one.bars["revision"]).tobytes()).hexdigest(),
                **actions_of(run.acts.get(str(one.symbol))),
            }
            for one in run.series
        ],
        **({} if run.ticks is None else {"ticks": run.ticks._asdict()}),
        "versions": versions(),
    }
    name = sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    manifest = {
        "format": FORMAT,
        "run": name,
        **inputs,
        "outputs": {file: sha256(content).hexdigest() for file, content in files.items()},
    }
    files[MANIFEST] = as_json(manifest)
    return Output(name, files, manifest)


def write(place: Place, made: Output) -> None:
    """Put a run's files in their place: the manifest goes first if it was there, and comes last.

    Raises:
        DeskError: The place holds something else, or cannot be written.
    """
    held = [name for name in place.names("") if "/" not in name]
    if held and MANIFEST not in held and not set(held) <= set(made.files):
        msg = f"output {place.where} holds files that are no run's, {held[0]} among them: name an empty folder"
        raise DeskError(msg)
    place.remove(MANIFEST)
    for name, content in made.files.items():
        place.put(name, content)
    staged = place.local("aside")
    if staged is not None:
        # A folder stages its files beside them; among a run's the empty folder would only puzzle.
        with suppress(OSError):
            staged.rmdir()


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest that was written.

    Raises:
        DeskError: It cannot be read, is none, or is of another format.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"manifest {path} cannot be read: {error}"
        raise DeskError(msg) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or "plan" not in found:
        msg = f"{path} is no manifest of a run of format {FORMAT}: name a run's {MANIFEST}"
        raise DeskError(msg)
    return found


def plan_of(manifest: Mapping[str, Any]) -> Plan:
    """The plan of a manifest.

    Raises:
        DeskError: It cannot be understood.
    """
    try:
        return Plan.model_validate(manifest["plan"])
    except ValueError as error:
        first = str(error).splitlines()
        msg = f"the manifest's plan is not understood: {' '.join(first[1:3])}; it was written by another version"
        raise DeskError(msg) from error


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two manifests of one plan, a sentence each, causes first; empty if all is the same."""
    said = []
    if before["plan"]["source_hash"] != now["plan"]["source_hash"]:
        said.append(
            f"strategy {now['plan']['strategy']} has changed: its file's hash was {before['plan']['source_hash'][:12]} "
            f"and is {now['plan']['source_hash'][:12]}"
        )
    for was, has in zip(before["data"], now["data"], strict=False):
        name = f"{has['symbol']} {has['interval']}"
        if was["bars"] != has["bars"]:
            said.append(f"bars of {name}: there were {was['bars']} from {was['first']} to {was['last']}, and are "
                        f"{has['bars']} from {has['first']} to {has['last']}")  # fmt: skip
        elif was["sha256"] != has["sha256"]:
            said.append(
                f"bars of {name} have other values: {was['revised']} were revised then, {has['revised']} are now"
            )
        elif was["revisions_sha256"] != has["revisions_sha256"]:
            said.append(f"bars of {name} have other revisions and the same values")
        if "actions_sha256" in was and was["actions_sha256"] != has.get("actions_sha256"):
            then, today = (
                "not known" if one.get("actions_sha256") is None else f"{one['actions']}" for one in (was, has)
            )
            others = " of other values" if then == today else ""
            said.append(f"splits and dividends in the bars of {name}: {then} then, {today}{others} now")
    was, has = before.get("ticks"), now.get("ticks")
    if was != has and was is not None and has is not None:
        said.append(
            f"ticks: there were {was['number']} in rows {was['first_row']} to {was['last_row']} of the journal, and "
            f"are {has['number']} in rows {has['first_row']} to {has['last_row']}"
        )
    for name in sorted({*before["versions"], *now["versions"]}):
        was, has = before["versions"].get(name, "none"), now["versions"].get(name, "none")
        if was != has:
            said.append(f"{name} was {was} and is {has}")
    # A file that was not written then, such as the page of a nightly run, cannot have changed.
    said += [f"{name} differs" for name, was in sorted(before["outputs"].items()) if was != now["outputs"].get(name)]
    return said


def actions_of(acts: Acts | None) -> dict[str, Any]:
    """The splits and dividends that a symbol's bars were adjusted for, or its positions dealt with, in a manifest."""
    if acts is None:
        return {}
    if not acts.known:
        return {"actions": None, "actions_sha256": None}
    done = [
        [(cut.time, cut.price, cut.volume, str(cut.action.kind), cut.action.value) for cut in cuts]
        for cuts in (acts.seen, acts.dealt)
    ]
    number = len({cut.action for cuts in (acts.seen, acts.dealt) for cut in cuts})
    return {"actions": number, "actions_sha256": sha256(repr(done).encode()).hexdigest()}


def versions() -> dict[str, str]:
    """Versions of what the results were made by."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def metrics_document(run: Run) -> dict[str, Any]:
    """Everything that `metrics.json` holds: the figures, then the tables."""
    report = run.report
    return {
        **_figures(run.metrics),
        "currency": report.currency,
        "buy_and_hold": _figures(run.benchmark),
        "months": {month: plain(value) for month, value in report.months.items()},
        "buy_and_hold_months": {month: plain(value) for month, value in report.benchmark_months.items()},
        "hit_rate": [_plain(row._asdict()) for row in report.hits],
        "slippage_by_bucket": [_plain(row._asdict()) for row in report.slips],
        "calibration": {
            "slope": plain(report.calibrated.slope),
            "bias": plain(report.calibrated.bias),
            "buckets": [_plain(row._asdict()) for row in report.calibrated.buckets],
        },
        "luck": None if report.odds is None else _plain(report.odds._asdict()),
        "monte_carlo": None if report.drawn is None else drawn_document(report.drawn),
        "notes": list(report.notes),
    }


def iso(time: int) -> str:
    """A moment as ISO 8601 UTC, with as many digits as it has, in threes.

    >>> iso(1_767_322_800_000_000_000), iso(1_767_322_800_120_000_000), iso(1_767_322_800_000_450_000)
    ('2026-01-02T03:00:00Z', '2026-01-02T03:00:00.120Z', '2026-01-02T03:00:00.000450Z')
    """
    at = dt.datetime.fromtimestamp(time // 10**9, dt.UTC)
    rest = f"{time % 10**9:09d}"
    while rest.endswith("000"):
        rest = rest[:-3]
    return f"{at:%Y-%m-%dT%H:%M:%S}{'.' if rest else ''}{rest}Z"


def _figures(metrics: Metrics) -> dict[str, Any]:
    found = _plain(asdict(metrics))
    return {name: iso(value) if name in _TIMES and value is not None else value for name, value in found.items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}


def as_json(document: Mapping[str, Any]) -> bytes:
    """A file for programs."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def as_csv(frame: "pl.DataFrame") -> bytes:
    """A file for everybody: times as ISO 8601, floats so that reading them back gives the same, nothing for null."""
    import polars as pl

    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    texts = [
        pl.Series(
            name, [None if value is None else iso(value) for value in frame[name].to_physical().to_list()], pl.String
        )
        for name in times
    ]
    return frame.with_columns(texts).write_csv().encode()


def as_parquet(frame: "pl.DataFrame") -> bytes:
    """A file for notebooks."""
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd")
    return content.getvalue()


def trade_rows(run: Run) -> list[tuple[Any, ...]]:
    """Trades in the order of the columns of `sinks.run_book`, times in ns."""
    import polars as pl

    frame = trades_frame(run.outcome.trades, run.shown.symbols)
    return frame.with_columns(pl.col("entry_time", "exit_time").cast(pl.Int64)).rows()
