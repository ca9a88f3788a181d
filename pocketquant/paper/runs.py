"""Paper runs as users name and see them."""

import time
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from infra.settings import Settings
from infra.status import alive, read_status
from market.errors import DeskError
from pocketquant.output import Kind, printable
from pocketquant.times import format_span, format_time

if TYPE_CHECKING:
    from sinks.paper_book import Control, PaperBook, Row

STALE_S: Final = 10.0
"""A status that is older tells of a process that hangs, or of none."""
DAY_NS: Final = 86_400 * 10**9
ENDED: Final = frozenset({"stopped", "killed", "failed"})
FILLS: Final = "at the first tick after the close that they were decided on, limits once one trades through them"
"""What a paper run's own fill rule is, where a backtest on bars has others."""
EVENTS_SHOWN: Final = 5
NAMED_MAX: Final = 4
"""So many runs are named where a name fits several."""

RUNS: Final[dict[str, Kind]] = {
    "run": "text",
    "strategy": "text",
    "parameters": "text",
    "symbols": "text",
    "interval": "text",
    "state": "text",
    "equity": "float",
    "currency": "text",
    "return": "float",
    "drawdown": "float",
    "positions": "text",
    "working": "int",
    "trades": "int",
    "why": "text",
    "cash": "float",
    "cash_now": "float",
    "realised": "float",
    "unrealised": "float",
    "fees": "float",
    "exposure": "float",
    "orders": "int",
    "fills": "int",
    "last_bar": "time",
    "marked_at": "time",
    "asked_at": "time",
    "started_at": "time",
    "ended_at": "time",
    "warm_up": "int",
    "mode": "text",
    "why_plain": "text",
    "ours": "bool",
    "source_hash": "text",
    "asked": "text",
}
SHOWN: Final = tuple(RUNS)[: tuple(RUNS).index("cash")]
"""Columns that fit a terminal; the rest is for programs."""


def open_book(settings: Settings, *, read_only: bool = True) -> "PaperBook":
    """The paper book of a desk; where nothing was ever asked for, an empty one if it is only to be read.

    Raises:
        DeskError: It cannot be read, or is away.
    """
    from sinks.paper_book import open_paper_book

    return open_paper_book(settings.store, settings.folders.paper, read_only=read_only)


def all_runs(book: "PaperBook", now_ns: int) -> "list[Row]":
    """Every run, the newest first: those that wait, or were refused in the last day, among them."""
    controls = book.controls()
    # Afterwards, so that a run that begins in between is not missed.
    held = book.runs()
    known = {row["run"] for row in held}
    early = [
        _waiting(one)
        for one in reversed(controls)
        if one.action == "start" and one.run not in known and one.applied_seq is None
        if not one.refused or one.asked_at > now_ns - DAY_NS
    ]
    pending: dict[str, list[str]] = {}
    for one in controls:
        if one.action != "start" and one.applied_seq is None and not one.refused:
            pending.setdefault(one.run, []).append(one.action)
    return [{**row, "asked": " ".join(pending.get(row["run"], []))} for row in [*early, *held]]


def _waiting(control: "Control") -> "Row":
    """A run that is not yet, or was refused, as a row like the others."""
    plan = control.body["plan"]
    row = dict.fromkeys(RUNS)
    return row | {
        "run": control.run,
        "number": control.number,
        "strategy": plan["strategy"],
        "parameters": plan["parameters"],
        "symbols": plan["symbols"],
        "interval": plan["interval"],
        "plan": plan,
        "cash": plan["cash"],
        "currency": plan["currency"],
        "source_hash": plan["source_hash"],
        "ours": control.body["ours"],
        "asked_at": control.asked_at,
        "state": "refused" if control.refused else "asked",
        "why": control.refused,
        "positions": [],
    }


def named(runs: "Sequence[Row]", name: str | None) -> "list[Row]":
    """Runs that a user means: by strategy or id, or by how one of these begins; all of them by None.

    Raises:
        DeskError: There is none.
    """
    if name is None:
        return list(runs)
    wanted = name.strip().lower()
    of_strategy = [row for row in runs if row["strategy"] == wanted.replace("_", "-")]
    found = of_strategy or [row for row in runs if row["run"] == wanted]
    found = found or [row for row in runs if row["run"].startswith(wanted)]
    found = found or [row for row in runs if row["strategy"].startswith(wanted)]
    if found:
        return found
    known = [*dict.fromkeys(row["strategy"] for row in runs), *(row["run"] for row in runs)]
    close = get_close_matches(wanted, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "`pq paper status` lists them, and `pq paper start` starts one"
    msg = f"no paper run {name!r}: {hint}"
    raise DeskError(msg)


def begun(runs: "Sequence[Row]") -> "list[Row]":
    """Those that paper trading has taken up."""
    return [row for row in runs if row["state"] not in {"asked", "refused"}]


def one_of(runs: "Sequence[Row]", name: str, states: Collection[str]) -> "Row":
    """The run that a user means; where several have the name, the one in any of these states.

    Raises:
        DeskError: There is none, or there are several.
    """
    found = named(runs, name)
    found = [row for row in found if row["state"] in states] or found
    if len(found) > 1:
        words = ", ".join(f"{row['run']} ({row['strategy']}, {row['state']})" for row in found[:NAMED_MAX])
        more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
        msg = f"{name!r} may be any of {len(found)} paper runs: {words}{more}; name one by how its id begins"
        raise DeskError(msg)
    return found[0]


def run_values(row: "Row") -> tuple[Any, ...]:
    """A run in the order of `RUNS`."""
    made = {
        **row,
        "parameters": words_of(row["parameters"] or {}),
        "symbols": " ".join(row["symbols"] or ()),
        "positions": " ".join(f"{one['symbol']} {one['units']:+.8g}" for one in row["positions"] or ()),
        "return": gain(row),
    }
    return tuple(made.get(name) for name in RUNS)


def shown_values(row: "Row") -> tuple[Any, ...]:
    """The same for people: of `SHOWN`, with the digits that they read."""
    digits = {"equity": 10, "return": 4, "drawdown": 4}
    return tuple(
        float(f"{value:.{digits[name]}g}") if name in digits and value is not None else value
        for name, value in zip(SHOWN, run_values(row), strict=False)
    )


def document(row: "Row") -> dict[str, Any]:
    """A run as JSON: what `RUNS` has, with parameters, symbols and positions as they are, and the conditions."""
    times = {name for name, kind in RUNS.items() if kind == "time"}
    told = {
        name: format_time(value) if name in times and value is not None else value
        for name, value in zip(RUNS, run_values(row), strict=True)
    }
    return told | {
        "parameters": row["parameters"],
        "symbols": row["symbols"],
        "positions": row["positions"] or [],
        "conditions": (row.get("plan") or {}).get("conditions"),
    }


def last_events(book: "PaperBook", run: str) -> "list[Row]":
    """What happened to a run last, oldest first."""
    return book.rows("events", run, limit=EVENTS_SHOWN, newest_first=True)[::-1]


def words_of(parameters: dict[str, Any]) -> str:
    """Parameters as `--param` takes them."""
    from strategies.loader.parameters import spelled

    return " ".join(f"{name}={spelled(value)}" for name, value in parameters.items())


def gain(row: "Row") -> float | None:
    """The run's return so far, a fraction."""
    if row.get("equity") is None or not row["cash"]:
        return None
    return float(row["equity"] / row["cash"] - 1)


def describe(row: "Row", events: "Sequence[Row]", now_ns: int) -> str:
    """One run in a few lines for people.

    Args:
        row: Of the run.
        events: Its last ones, oldest first.
        now_ns: The present moment.
    """
    parameters = words_of(row["parameters"] or {})
    what = " ".join(
        part for part in (row["strategy"], parameters, "on", " ".join(row["symbols"]), row["interval"]) if part
    )
    since = row.get("ended_at") if row["state"] in ENDED else row.get("started_at")
    ago = f" since {format_time(since)} ({format_span(max(0, now_ns - since) / 1e9)})" if since else ""
    lines = [f"{'run':<10} {row['run']}  {what}", f"{'state':<10} {row['state']}{ago}{_and(row.get('why'))}"]
    if row.get("asked"):
        lines.append(f"{'asked':<10} {row['asked']}, which paper trading has not taken up yet")
    if row.get("equity") is not None:
        money = row["currency"]
        marked = f", as of {format_time(row['marked_at'])}" if row.get("marked_at") else ""
        pnl = f"realised {row['realised'] or 0.0:+,.2f}, unrealised {row['unrealised'] or 0.0:+,.2f}, "
        pnl += f"fees {row.get('fees') or 0.0:,.2f}"
        risk = f"drawdown {row['drawdown'] or 0.0:.2%}, exposure {row['exposure'] or 0.0:.2f} x equity"
        lines += [
            f"{'equity':<10} {row['equity']:,.2f} {money} ({gain(row) or 0.0:+.2%} of {row['cash']:,.2f}){marked}",
            f"{'P&L':<10} {pnl}, {risk}",
        ]
    for held in row["positions"] or ():
        lines.append(
            f"{'position':<10} {held['symbol']} {held['units']:+.8g} at {held['entry_price']:.10g}, now "
            f"{held['price']:.10g}: {held['unrealised']:+,.2f}"
        )
    if row.get("mode"):
        counts = ", ".join(f"{row.get(name) or 0} {name}" for name in ("orders", "fills", "trades"))
        lines.append(f"{'made':<10} {counts}; {row['working'] or 0} of the orders work")
        mode = "compiled" if row["mode"] == "compiled" else f"plain Python: {row['why_plain']}"
        last = f", last on the bar that ended {format_time(row['last_bar'])}" if row.get("last_bar") else ""
        lines.append(f"{'decides':<10} {mode}, after {row['warm_up'] or 0} bars of warm-up{last}")
    lines += [f"{'assumed':<10} {name}: {text}" for name, text in _conditions(row)]
    lines += [f"{'event':<10} {format_time(one['time'])}  {one['name']}  {printable(one['text'])}" for one in events]
    return "\n".join(lines)


def _and(text: str | None) -> str:
    return f": {text}" if text else ""


def _conditions(row: "Row") -> Iterator[tuple[str, str]]:
    """What a run takes for granted, line by line."""
    from trading.opening import Conditions

    plan = row.get("plan")
    if plan is None:
        return
    for name, text in Conditions.model_validate(plan["conditions"]).lines(plan["symbols"]):
        yield name, FILLS if name == "fills" else text


def paper_up(settings: Settings, now_ns: int) -> bool:
    """Whether the dataflow of paper trading runs, by what it says of itself."""
    status = read_status(settings.folders.status_file("paper")) or {}
    age_s = (now_ns - status.get("written_ns", 0)) / 1e9
    return age_s <= STALE_S and alive(status.get("pid") or 0)


def answered(book: "PaperBook", numbers: Sequence[int], patience_s: float) -> "list[Control]":
    """Controls by number, waited for until each has taken effect or was refused, or the patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        found = [one for one in book.controls(min(numbers) - 1) if one.number in numbers]
        waits = any(one.applied_seq is None and not one.refused for one in found)
        if not waits or time.monotonic() >= deadline:
            return found
        time.sleep(0.05)


def began(book: "PaperBook", run: str, patience_s: float) -> "Row | None":
    """The run, waited for until it is written down or the patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        found = book.run(run)
        if found or time.monotonic() >= deadline:
            return found[0] if found else None
        time.sleep(0.05)
