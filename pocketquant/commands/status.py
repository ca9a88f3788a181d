"""`pq status`."""

import json
from pathlib import Path
from typing import Any

import click

from pocketquant import options
from pocketquant.output import Format, Kind, Records, aside, write
from pocketquant.times import format_bytes, format_span, format_time

PROCESS_KINDS: dict[str, Kind] = {
    "name": "text",
    "pid": "int",
    "state": "text",
    "uptime_s": "float",
    "restarts": "int",
}


@click.command(epilog=options.example("pq status", "pq status --json", "pq status --format csv --output processes.csv"))
@options.output_options
@options.desk_options
def status(*, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> None:
    """Processes, feeds, journal, store and Redis: how each is, and its last error.

    CSV and Parquet hold the processes; JSON holds all.
    """
    from pocketquant.desk_status import gather

    picked = options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    document = gather(settings)
    if picked == "json":
        text = json.dumps(_readable(document), indent=1) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            with aside(output) as path:
                path.write_text(text)
    elif picked == "table":
        if output is None:
            click.echo(describe(document))
        else:
            with aside(output) as path:
                path.write_text(describe(document) + "\n")
    else:
        rows = [[entry[key] for key in PROCESS_KINDS] for entry in document["processes"]]
        write(Records(PROCESS_KINDS, rows), picked, output)


def describe(document: dict[str, Any]) -> str:
    """The whole status as lines for people."""
    from pocketquant.desk_status import runs_in_words

    desk = document["supervisor"]
    head = f"desk       {document['data_dir']}"
    if desk is None:
        lines = [f"{head}: not running (`pq up` starts it)"]
    elif desk["what"] == "replay":
        lines = [f"{head}: a replay writes into it (pid {desk['pid']}); a desk can start when it is done"]
    else:
        up = f", up {format_span(desk['uptime_s'])}" if desk["uptime_s"] is not None else ""
        lines = [f"{head}: pid {desk['pid']}{up}"]
        if desk.get("simulated"):
            lines.append("           SIMULATED: prices are made up, under exchange SIM")
    for entry in document["processes"]:
        up = f"up {format_span(entry['uptime_s'])}" if entry["uptime_s"] is not None else ""
        pid = f"pid {entry['pid']}" if entry["pid"] is not None else ""
        end = (desk or {}).get("last_ends", {}).get(entry["name"])
        ended = f"ended last by {end}" if end else ""
        lines.append(_line("process", entry["name"], entry["state"], pid, up, f"{entry['restarts']} restarts", ended))
    for feed in document["feeds"]:
        age = feed.get("last_message_age_s")
        lines.append(
            _line(
                "feed",
                feed.get("name", ""),
                feed.get("state", ""),
                f"{feed.get('rate') or 0:.1f} ticks/s",
                f"last message {format_span(age)} ago" if age is not None else "no message yet",
                f"{feed.get('reconnects', 0)} reconnects",
                feed.get("last_error"),
            )
        )
    journal, store, redis = document["journal"], document["store"], document["redis"]
    free = journal["free_bytes"]
    lines.append(
        _line(
            "journal",
            f"row {journal['seq']}" if journal["seq"] is not None else "empty",
            format_bytes(journal["bytes"]),
            f"{format_bytes(free)} free" if free is not None else "",
            journal["last_error"],
        )
    )
    lag = store["lag_ms"]
    lines.append(
        _line(
            "store",
            store["engine"],
            store["state"],
            format_bytes(store["bytes"]) if store["bytes"] is not None else store["where"],
            f"{store['lag_rows']} rows ({format_span(lag / 1000)}) behind" if lag is not None else "",
            f"{store['retries']} retries" if store["retries"] else "",
            store["preparing"],
            store["last_error"],
        )
    )
    used = format_bytes(redis["bytes"]) if redis["bytes"] is not None else ""
    lines.append(_line("redis", redis["state"], used, redis["last_error"]))
    paper = document["paper"]
    if paper is not None:
        lag = paper["lag_ms"]
        behind = f"{paper['lag_rows']} rows ({format_span(lag / 1000)}) behind" if lag is not None else ""
        retries = f"{paper['retries']} retries" if paper["retries"] else ""
        lines.append(_line("paper", runs_in_words(paper), behind, retries, paper["preparing"], paper["last_error"]))
    flows = document["flows"]
    if flows is not None:
        runs = f"{len(flows['running'])} running: {', '.join(flows['running'])}" if flows["running"] else "none running"
        lines.append(_line("flows", flows["ui"] or "starting", runs if flows["ui"] else "", flows["note"]))
    lines += [_line("alert", format_time(event["time"]), event["name"], event["text"]) for event in document["alerts"]]
    return "\n".join(lines)


def _line(label: str, *parts: Any) -> str:
    return f"{label:<10} " + "  ".join(str(part) for part in parts if part not in {None, ""})


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    """Times of alerts as text, as everywhere at the edge."""
    alerts = [{**event, "time": format_time(event["time"])} for event in document["alerts"]]
    return {**document, "alerts": alerts}
