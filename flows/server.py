"""Prefect's server and UI on the loopback address: `python -m flows.server --data-dir DIR --port N`."""

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from flows import environ
from infra import lifeline, logs
from infra.settings import Settings, load_settings
from infra.status import StatusFile
from market.errors import DeskError

NICENESS: Final = 5
"""Ticks and bars come first."""
REPORT_S: Final = 2.0
DRAIN_S: Final = 3
"""Connections that are open at the end get this long; a browser's never close by themselves."""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description="Prefect's server and UI.")
    parser.add_argument("--data-dir", type=Path, help="the desk's data folder")
    parser.add_argument("--config", type=Path, help="pocketquant.toml")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1  [default: flows.port]")
    options = parser.parse_args(arguments)
    lifeline.hold()
    try:
        settings = load_settings(options.data_dir, options.config)
        folders = settings.folders.create()
        logs.configure("prefect", folders.log_file("prefect"), level="warning", secrets=settings.secrets())
        port = options.port or settings.flows.port
        environ.prepare(folders, port)
        make_home(folders.prefect)
        with suppress(OSError):
            os.nice(NICENESS)
        serve(settings, port)
    except DeskError as error:
        logs.logger().error("prefect stopped", reason=str(error))
        print(f"prefect: {error}", file=sys.stderr)  # noqa: T201  # The supervisor's file, or a user's terminal.
        return 1
    return 0


def serve(settings: Settings, port: int) -> None:
    """Serve until a signal comes.

    Raises:
        DeskError: The port cannot be listened on, or the server did not start.
    """
    import uvicorn
    from prefect.server.api.server import create_app

    from flows.guard import Guard
    from flows.report_files import ReportFiles
    from flows.second_tries import SecondTries

    prefect = SecondTries(create_app(final=True), random.Random().random)  # noqa: S311  # Jitter is no secret.
    config = uvicorn.Config(
        Guard(ReportFiles(prefect, settings.folders.runs)),
        host=environ.HOST,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = uvicorn.Server(config)
    status = StatusFile(settings.folders.status_file("prefect"), "prefect", every_s=REPORT_S / 2)

    async def report() -> None:
        """Say that the loop turns; the first time, that the server answers."""
        fields = {"url": environ.ui_url(port), "port": port, "wanted_port": settings.flows.port}
        while not server.should_exit:
            if server.started:
                status.write(fields, force=True)
            await asyncio.sleep(REPORT_S if server.started else 0.1)

    async def work() -> None:
        reporting = asyncio.ensure_future(report())
        try:
            await server.serve()
        finally:
            reporting.cancel()

    # uvicorn handles a signal, puts the handler that was there before back, and raises the signal once more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    try:
        asyncio.run(work())
    except SystemExit as ended:
        msg = f"Prefect's server did not start on {environ.HOST}:{port}: see {settings.folders.logs}"
        raise DeskError(msg) from ended
    finally:
        status.remove()
    if not server.started:
        msg = f"Prefect's server did not start on {environ.HOST}:{port}: see {settings.folders.logs}"
        raise DeskError(msg)


def make_home(home: Path) -> None:
    """The folder of Prefect's database, for this user alone: parameters of runs are in it.

    A database that cannot be read is moved aside: a new one lacks nothing but the list of past runs, and without one
    there would be no flows.

    Raises:
        DeskError: It cannot be made.
    """
    database = home / "prefect.db"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _damaged(database):
            for ending in ("", "-wal", "-shm"):
                path = database.with_name(database.name + ending)
                if path.exists():
                    path.replace(path.with_name(f"{path.name}.damaged"))
            logs.logger().error("Prefect's database was damaged and is moved aside", path=f"{database}.damaged")
    except OSError as error:
        msg = f"folder {home} cannot be made: {error.strerror or error}; free space, or mend its permissions"
        raise DeskError(msg) from error


def _damaged(database: Path) -> bool:
    """Whether a file is there that SQLite cannot read, or not as a whole."""
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(database)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


if __name__ == "__main__":
    sys.exit(main())
