"""The files of a sweep: all candidates, its reports, the best's own run, and the manifest by which it is made again."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from backtest.metrics import plain
from backtest.output import FORMAT, MANIFEST, Output, as_csv, as_json, as_parquet, metrics_document, output
from backtest.sweep import Hunt, Sweep
from backtest.sweep_html import sweep_html
from backtest.sweep_md import sweep_markdown
from backtest.sweep_report import SweepReport
from market.errors import DeskError

if TYPE_CHECKING:
    import polars as pl

KIND: Final = "sweep"
BEST: Final = "best"
"""Folder of the best candidate's own run."""

LISTED: Final = 20
"""Candidates in `metrics.json`."""

_TIMES: Final = ("deepest_from", "deepest_at", "deepest_to")
_SAME: Final = ("begin", "end", "years", "equity_start")
"""Figures that all candidates share."""


def sweep_output(done: Sweep, report: SweepReport, *, page: bool = True) -> Output:
    """Make a sweep's files. The same sweep makes the same bytes.

    Args:
        done: The sweep.
        report: Of it.
        page: Whether `report.html` and the best's are among them, 5 MB each.

    Returns:
        `results.csv`, `results.parquet`, `metrics.json`, `report.html`, `report.md`, the files of the best's run in
        `best/`, and `manifest.json`.
    """
    best = output(done.run, page=page)
    results = results_frame(done)
    files: dict[str, bytes] = {
        "results.csv": as_csv(results),
        "results.parquet": as_parquet(results),
        "metrics.json": as_json(sweep_document(done, report)),
        **({"report.html": sweep_html(report).encode()} if page else {}),
        "report.md": sweep_markdown(report).encode(),
        **{f"{BEST}/{name}": content for name, content in best.files.items()},
    }
    inputs = {
        "kind": KIND,
        # Which parameters are the best is a result.
        "plan": done.plan.model_copy(update={"parameters": {}}).model_dump(mode="json"),
        "hunt": done.hunt.model_dump(mode="json"),
        "data": best.manifest["data"],
        "versions": best.manifest["versions"],
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


def hunt_of(manifest: Mapping[str, Any]) -> Hunt:
    """What a manifest's sweep looked for.

    Raises:
        DeskError: It is none of a sweep, or cannot be understood.
    """
    if manifest.get("kind") != KIND:
        msg = "the manifest is none of a sweep: `pq backtest --from` makes a backtest again"
        raise DeskError(msg)
    try:
        return Hunt.model_validate(manifest["hunt"])
    except (KeyError, ValueError) as error:
        first = str(error).splitlines()
        msg = f"the manifest's search is not understood: {' '.join(first[1:3])}; it was written by another version"
        raise DeskError(msg) from error


def results_frame(done: Sweep) -> "pl.DataFrame":
    """Every combination that was tried: those that can be ranked first, the best on top, then those that cannot.

    Columns: `rank`, the parameters, the figures but those that all share, and `why` nothing came of one. A parameter
    that is called as a figure has `_parameter` behind its name.
    """
    import polars as pl

    found = done.candidates
    figures = found.figures.drop(_SAME).with_columns(
        [pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in _TIMES],
    )
    figures = figures.with_columns(pl.selectors.float().fill_nan(None))
    ranks = dict(zip(done.order.tolist(), range(1, len(done.order) + 1), strict=True))
    failed = [one.parameters for one in done.failed]
    names = {name: f"{name}_parameter" if name in figures.columns else name for name in found.parameters[0]}
    parameters = pl.DataFrame(
        [{names[name]: value for name, value in one.items()} for one in [*found.parameters, *failed]],
        infer_schema_length=None,
    )
    rest = pl.DataFrame(schema=figures.schema, data=[[None] * len(failed) for _ in figures.columns])
    every = range(len(found.parameters))
    rank = pl.Series("rank", [*(ranks.get(place) for place in every), *(None for _ in failed)], pl.Int64)
    why = pl.Series("why", [*(None for _ in every), *(one.why for one in done.failed)], pl.String)
    whole = pl.concat([rank.to_frame(), parameters, pl.concat([figures, rest]), why.to_frame()], how="horizontal")
    return whole.sort("rank", nulls_last=True, maintain_order=True)


def sweep_document(done: Sweep, report: SweepReport) -> dict[str, Any]:
    """Everything that a sweep's `metrics.json` holds: the best's figures and tables first, as a run's has them."""
    luck = done.luck
    return {
        **metrics_document(done.run),
        "sweep": {
            "metric": done.hunt.metric,
            "parameters": dict(done.plan.parameters),
            "tried": len(done.candidates.parameters) + len(done.failed),
            "ranked": len(done.order),
            "failed": len(done.failed),
            "refused": done.refused.number,
            "luck": report.lucky,
            **{f"luck_{name}": plain(value) for name, value in luck._asdict().items() if name != "odds"},
            **{f"luck_{name}": plain(value) for name, value in luck.odds._asdict().items()},
            "notes": list(report.notes),
            "best": [
                {
                    "parameters": dict(zip(report.names, parameters, strict=True)),
                    **dict(zip(report.columns, map(plain, figures), strict=True)),
                }
                for parameters, figures in report.rows[:LISTED]
            ],
        },
    }
