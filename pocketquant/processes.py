"""Which processes a desk is made of, and how each is started."""

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from infra import redis_server
from infra.settings import Settings
from infra.status import read_status
from pocketquant.children import ChildSpec

STOP_ORDER: Final = ("flows", "prefect", "ingest", "simulated", "bars", "paper", "redis")
"""What writes stops first; bars then reads the rest and flushes, while Redis is still there for it, and paper what bars
made of it. The flows go before
the server that they report to: without it they would wait for it in vain."""


def specs(settings: Settings, feeds: list[str], config: Path | None) -> list[ChildSpec]:
    """The children in the order of their start.

    Args:
        settings: Of this desk.
        feeds: The feeds chosen, `auto` resolved.
        config: The file that was named on the command line, which the children read too.
    """
    folders = settings.folders
    common = ["--data-dir", str(folders.data_dir), *(["--config", str(config)] if config is not None else [])]
    children = []
    if settings.redis_url is None:
        children.append(
            ChildSpec(
                "redis",
                lambda: redis_server.command(folders, settings.redis_memory_mb),
                before=lambda: redis_server.clear_stale_socket(folders.redis_socket),
                ready=lambda: redis_server.answers(folders.redis_socket),
                stop_s=5,
            )
        )
    # What the settings ask for has been noted in the ledger by now, where children find it.
    environ = {"POCKETQUANT_SYMBOLS": "[]"}
    if "sim" in feeds and settings.simulated.url is None:
        port = free_port()
        environ["POCKETQUANT_SIMULATED__URL"] = f"ws://127.0.0.1:{port}/kraken"
        children.append(_simulated(settings, common, port))
    feed_options = [word for feed in feeds for word in ("--feed", feed)]
    children += [
        _ours("ingest", "dataflows.ingest", settings, [*common, *feed_options], environ, gates=False),
        # Bars may have much to drain into a slow store before it can end.
        _ours("bars", "dataflows.bars", settings, common, environ, stop_s=25.0),
    ]
    if settings.paper.enabled:
        # The flows need not wait for it: it may have a strategy to compile first.
        children.append(_ours("paper", "dataflows.paper", settings, common, environ, stop_s=25.0, gates=False))
    return children + (_flows(settings, common, environ) if settings.flows.enabled else [])


def _flows(settings: Settings, common: list[str], environ: dict[str, str]) -> list[ChildSpec]:
    """Prefect's server, and what runs the flows: a desk of which these are away ingests, builds bars and answers."""
    port = settings.flows.port

    def server() -> list[str]:
        # Asked at each start: a port that someone has taken meanwhile is no reason for the flows to stand still.
        nonlocal port
        port = port if bindable(port) else free_port()
        return [*prefect.command(), "--port", str(port)]

    prefect = _ours("prefect", "flows.server", settings, common, {}, stop_s=20.0)
    # It cancels what runs, and each run ends with the page in hand; a machine that is busy takes its time.
    flows = _ours("flows", "flows", settings, common, environ, stop_s=45.0)
    return [
        # Its first start makes a database, which takes a small machine half a minute.
        replace(prefect, command=server, ready_s=180.0),
        # Prefect's runner loses the means to cancel a run when its server restarts (measured), so it restarts with it.
        replace(flows, command=lambda: [*flows.command(), "--port", str(port)], stands_on="prefect"),
    ]


def free_port() -> int:
    """A port on the loopback address on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bindable(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # As servers do: connections that linger from a server before are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return not listening(port)


def listening(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _simulated(settings: Settings, common: list[str], port: int) -> ChildSpec:
    simulated = settings.simulated
    options = ["--port", str(port), "--rate", repr(simulated.rate), "--seed", str(simulated.seed)]
    if simulated.symbols is not None:
        options += ["--symbols", str(simulated.symbols)]
    command = [sys.executable, "-m", "sources.simulated", *common[:2], *options]
    return ChildSpec(
        "simulated",
        # It knows nothing of this house, so it is tied to our life as Redis is. The port stays the same over restarts,
        # so that ingest finds the exchange where it was.
        lambda: [sys.executable, "-m", "infra.lifeline", *command],
        before=lambda: _note_address(settings.folders.simulated_url, f"ws://127.0.0.1:{port}"),
        ready=lambda: listening(port),
    )


def _note_address(path: Path, url: str) -> None:
    """Say where the exchange is, to commands that ask for its history."""
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(f"{url}\n", encoding="utf-8")
    aside.replace(path)


def _ours(
    name: str,
    module: str,
    settings: Settings,
    options: list[str],
    environ: dict[str, str],
    *,
    stop_s: float = 10.0,
    gates: bool = True,
) -> ChildSpec:
    """One of our dataflows; it is ready once it has written its first status."""
    path = settings.folders.status_file(name)
    return ChildSpec(
        name,
        lambda: [sys.executable, "-m", module, *options],
        before=lambda: path.unlink(missing_ok=True),
        ready=lambda: read_status(path) is not None,
        gates=gates,
        stop_s=stop_s,
        environ=environ,
    )
