"""What `pq up` shows: a live screen on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from infra.logs import logger
from infra.settings import Settings
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant.desk_status import gather, runs_in_words
from pocketquant.times import format_span, format_time

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from pocketquant.cache import Cache

REDRAW_S: Final = 1.0
LINE_S: Final = 30.0
SYMBOLS_SHOWN: Final = 40
"""More than these do not fit; the rest is counted."""

EVENTS_TOLD: Final = 50
"""At most so many at a time; a storm of them is in the log."""

_GOOD: Final = {"running", "up"}
_MINUTE: Final = ("1m open", "1m high", "1m low", "1m close", "1m volume")


class View(Protocol):
    """Something that shows a desk while it runs, from a thread of its own."""

    def start(self) -> None:
        """Begin to show."""

    def close(self) -> None:
        """Stop, and leave the terminal as it was."""


class _Repeating:
    """Calls `show` every so often until closed. What goes wrong in it never stops the desk."""

    def __init__(self, show: Callable[[], None], every_s: float) -> None:
        self._show = show
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._show()
            except Exception:  # noqa: BLE001  # A screen that cannot be drawn is no reason to stop a desk.
                logger().exception("screen failed")
            self._stop.wait(self._every_s)


class PlainView:
    """A line at each change of a process or feed, at each event, and one in half a minute that says how all is."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._states: dict[str, str] = {}
        self._started = time.time_ns()
        self._ui: str | None = None
        """Where Prefect's UI was last said to be."""
        self._told = 0
        """Number of the last event that was told; those from before this desk are not."""
        self._next_line = 0.0
        self._repeating = _Repeating(self.show, REDRAW_S)

    def start(self) -> None:
        """Begin to watch."""
        self._repeating.start()

    def close(self) -> None:
        """Stop watching."""
        self._repeating.close()

    def show(self) -> None:
        """Say what changed since the last time."""
        document = gather(self._settings, alerts=EVENTS_TOLD)
        ends = (document["supervisor"] or {}).get("last_ends", {})
        for kind in ("processes", "feeds"):
            for entry in document[kind]:
                label = f"{entry['name']} feed" if kind == "feeds" else entry["name"]
                state = str(entry["state"])
                if self._states.get(label) != state:
                    self._states[label] = state
                    pid = f" (pid {entry['pid']})" if entry.get("pid") else ""
                    why = ends.get(entry["name"]) if kind == "processes" and state == "backoff" else None
                    if label == "bars" and state == "starting":
                        why = document["store"]["preparing"]
                    self._line(f"{label} {state}{pid}{f': {why}' if why else ''}")
        if (ui := ui_line(document)) is not None and ui != self._ui:
            self._ui = ui
            self._line(f"flows {ui}")
        for event in reversed(document["alerts"]):
            if event["time"] >= self._started and event["id"] > self._told:
                self._told = event["id"]
                self._line(f"{event['name']} {event['text']}")
        if time.monotonic() >= self._next_line and document["feeds"]:
            self._next_line = time.monotonic() + LINE_S
            self._line(summary(document))

    def _line(self, text: str) -> None:
        self._say(f"{format_time(time.time_ns() // 10**6 * 10**6)} {text}")


def summary(document: dict[str, Any]) -> str:
    """How all is, in one line."""
    feeds = ", ".join(f"{feed['name']} {feed['state']} {feed.get('rate') or 0:.1f}/s" for feed in document["feeds"])
    lag = document["store"]["lag_ms"]
    behind = f", bars {format_span(lag / 1000)} behind" if lag is not None else ""
    told = document["paper"]
    paper = f"; paper {runs_in_words(told)}" if told is not None and told["runs"] else ""
    redis = document["redis"]["state"]
    return f"feeds: {feeds}; journal row {document['journal']['seq']}{behind}; Redis {redis}{paper}"


def ui_line(document: dict[str, Any]) -> str | None:
    """Where a browser finds the flows; None while they are not to be found."""
    flows = document["flows"]
    if flows is None or flows["ui"] is None:
        return None
    return f"started and watched at {flows['ui']}" + (f" ({flows['note']})" if flows["note"] else "")


class LiveView:
    """The live screen."""

    def __init__(self, settings: Settings, feeds: list[str], console: "Console") -> None:
        from rich.live import Live

        self._settings = settings
        self._feeds = feeds
        self._cache: Cache | None = None
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=False)
        self._repeating = _Repeating(self.show, REDRAW_S)

    def start(self) -> None:
        """Take the terminal over."""
        self._live.start()
        self._repeating.start()

    def close(self) -> None:
        """Give the terminal back."""
        self._repeating.close()
        self._live.stop()
        if self._cache is not None:
            self._cache.close()

    def show(self) -> None:
        """Draw it once."""
        self._live.update(self.draw(), refresh=True)

    def draw(self) -> "RenderableType":
        """The whole screen."""
        from rich.console import Group
        from rich.text import Text

        document = gather(self._settings, alerts=6)
        parts: list[RenderableType] = []
        if "sim" in self._feeds:
            banner = " SIMULATED: these prices are made up; they are kept under exchange SIM "
            parts.append(Text(banner, style="bold black on yellow", justify="center"))
        desk = document["supervisor"] or {}
        up = f"up {format_span(desk['uptime_s'])}" if desk.get("uptime_s") is not None else ""
        head = f"PocketQuant  {document['data_dir']}  feed {' '.join(self._feeds)}  {up}  (Ctrl-C stops)"
        parts += [
            Text(head, style="bold"),
            _processes(document),
            _feed_table(document),
            self._symbols(),
            _rest(document),
        ]
        return Group(*parts)

    def _symbols(self) -> "RenderableType":
        """Latest quote and forming minute of each symbol."""
        from rich.text import Text

        from pocketquant.cache import Cache, CacheAway

        if self._cache is None:
            self._cache = Cache(self._settings.redis, timeout_s=0.5)
        try:
            quotes = {quote.symbol: quote for quote in self._cache.quotes()}
            forming = self._cache.forming(sorted(quotes)[:SYMBOLS_SHOWN])
        except CacheAway:
            return Text("Redis is away: quotes and forming bars are not shown; bars go on to the store", style="red")
        # What does not fit is left out whole: a price cut short would be another price.
        width = self._live.console.width
        minute = _MINUTE if width >= 120 else _MINUTE[3:] if width >= 90 else ()
        table = _table("symbol", "last", "bid", "ask", "age", *minute)
        now = time.time_ns()
        for symbol in sorted(quotes)[:SYMBOLS_SHOWN]:
            quote = quotes[symbol]
            bar = forming.get(symbol)
            age = format_span(max(0, now - quote.received_time) / 1e9)
            cells = [quote.last, quote.bid, quote.ask]
            table.add_row(str(symbol), *map(_price, cells), age, *_minute(symbol, bar, len(minute)))
        if len(quotes) > SYMBOLS_SHOWN:
            table.add_row(f"and {len(quotes) - SYMBOLS_SHOWN} more: pq quotes")
        return table


def _minute(symbol: Symbol, forming: Any, count: int) -> list[str]:
    """The last `count` of open, high, low, close and volume of the minute that forms."""
    from pocketquant.reading import forming_bars

    bars = forming_bars(symbol, forming, Interval.M1) if forming is not None and count else []
    if not bars:
        return [""] * count
    open_, high, low, close, volume = bars[0][5:10]
    return [*map(_price, (open_, high, low, close)), f"{volume:.6g}"][-count:]


def _table(*names: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    return table


def _processes(document: dict[str, Any]) -> "Table":
    table = _table("process", "state", "pid", "up", "restarts")
    for entry in document["processes"]:
        up = format_span(entry["uptime_s"]) if entry["uptime_s"] is not None else ""
        table.add_row(entry["name"], _state(entry["state"]), str(entry["pid"] or ""), up, str(entry["restarts"]))
    return table


def _feed_table(document: dict[str, Any]) -> "Table":
    table = _table("feed", "state", "ticks/s", "latency", "last message", "reconnects")
    for feed in document["feeds"]:
        age, latency = feed.get("last_message_age_s"), feed.get("latency_ms")
        table.add_row(
            feed["name"],
            _state(feed["state"]),
            f"{feed.get('rate') or 0:.1f}",
            f"{latency:.1f} ms" if latency is not None else "",
            f"{format_span(age)} ago" if age is not None else "",
            str(feed.get("reconnects", 0)),
        )
    return table


def _rest(document: dict[str, Any]) -> Any:
    """Journal, store, Redis and the last events."""
    from rich.text import Text

    store, redis = document["store"], document["redis"]
    text = Text(f"\njournal row {document['journal']['seq']}   store {store['engine']} {store['state']}   redis ")
    text.append(redis["state"], style="green" if redis["state"] == "up" else "bold red")
    if (ui := ui_line(document)) is not None:
        text.append(f"\nflows {ui}")
    paper = document["paper"]
    if paper is not None:
        text.append(f"\npaper {runs_in_words(paper)}", style="bold red" if paper["runs"].get("failed") else "")
        if paper["preparing"]:
            text.append(f": {paper['preparing']}", style="yellow")
    if store["preparing"]:
        text.append(f"\nbars: {store['preparing']}", style="yellow")
    for error in (document["journal"]["last_error"], store["last_error"], (paper or {}).get("last_error")):
        if error:
            text.append(f"\n{error}", style="red")
    for event in document["alerts"]:
        text.append(f"\n{format_time(event['time'])}  {event['name']}  {event['text']}", style="yellow")
    return text


def _state(state: str) -> Any:
    from rich.text import Text

    return Text(state, style="green" if state in _GOOD else "bold red")


def _price(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
