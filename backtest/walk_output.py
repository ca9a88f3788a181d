"""The files of a walk-forward: those of its account, its windows, and the manifest by which it is made again."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from backtest.output import FORMAT, MANIFEST, Output, as_csv, as_json, iso, metrics_document, output
from backtest.sweep import Hunt
from backtest.walk_forward import Walk, WalkForward
from backtest.walk_report import document, report_of, windows_frame
from market.errors import DeskError

KIND: Final = "walk-forward"

_TIMES: Final = ("train_from", "test_from", "test_to")


def walk_output(done: WalkForward, *, page: bool = True) -> Output:
    """Make a walk-forward's files. The same walk-forward makes the same bytes.

    Args:
        done: That is over.
        page: Whether `report.html` is among them, which is 5 MB.

    Returns:
        The files of a run, of the account through all windows; `windows.csv`; and `manifest.json`.
    """
    run = done.run._replace(report=report_of(done))
    account = output(run, page=page)
    files = {name: content for name, content in account.files.items() if name != MANIFEST}
    files["metrics.json"] = as_json(walk_document(done))
    files["windows.csv"] = as_csv(windows_frame(done))
    inputs = {
        "kind": KIND,
        # Which parameters are chosen is a result.
        "plan": run.plan.model_copy(update={"parameters": {}}).model_dump(mode="json"),
        "hunt": done.hunt.model_dump(mode="json"),
        "walk": done.walk.model_dump(mode="json"),
        "data": account.manifest["data"],
        "versions": account.manifest["versions"],
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


def walk_document(done: WalkForward) -> dict[str, Any]:
    """Everything that a walk-forward's `metrics.json` holds: the account's figures and tables first, as a run's."""
    rows = windows_frame(done).to_dicts()
    times = [{name: iso(getattr(one.fold, name)) for name in _TIMES} for one in done.windows]
    windows = [{**row, **moments} for row, moments in zip(rows, times, strict=True)]
    return {**metrics_document(done.run), "walk_forward": {**document(done), "windows": windows}}


def walk_of(manifest: Mapping[str, Any]) -> tuple[Hunt, Walk]:
    """What a manifest's walk-forward looked for, and how its windows lay.

    Raises:
        DeskError: It is none of a walk-forward, or cannot be understood.
    """
    if manifest.get("kind") != KIND:
        msg = f"the manifest is none of a walk-forward but of a {manifest.get('kind', 'backtest')}"
        raise DeskError(msg)
    try:
        return Hunt.model_validate(manifest["hunt"]), Walk.model_validate(manifest["walk"])
    except (KeyError, ValueError) as error:
        first = str(error).splitlines()
        msg = f"the manifest's windows are not understood: {' '.join(first[1:3])}; another version wrote it"
        raise DeskError(msg) from error
