"""The flows' process: `python -m flows --data-dir DIR --port N`, N being the port of `flows.server`."""

import argparse
import asyncio
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from flows import environ
from infra import lifeline, logs
from infra.settings import load_settings
from market.errors import DeskError

NICENESS = 5
"""Ticks and bars come first. Runs inherit it."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows", description="Serves the flows to Prefect's server.")
    parser.add_argument("--data-dir", type=Path, help="the desk's data folder")
    parser.add_argument("--config", type=Path, help="pocketquant.toml")
    parser.add_argument("--port", type=int, help="port of Prefect's server on 127.0.0.1  [default: flows.port]")
    options = parser.parse_args(arguments)
    lifeline.hold()
    try:
        settings = load_settings(options.data_dir, options.config)
        folders = settings.folders.create()
        logging.getLogger("httpx").setLevel(logging.WARNING)  # A line for each call to the server.
        logs.configure("flows", folders.log_file("flows"), level=settings.log_level, secrets=settings.secrets())
        port = options.port or settings.flows.port
        environ.prepare(folders, port)
        # Runs are processes of the runner's: they find the desk by these, and end with this process.
        os.environ["POCKETQUANT_DATA_DIR"] = str(folders.data_dir)
        if options.config is not None:
            os.environ["POCKETQUANT_CONFIG"] = str(options.config.absolute())
        os.environ[lifeline.SUPERVISOR_PID] = str(os.getpid())
        with suppress(OSError):
            os.nice(NICENESS)

        from flows.serving import Serving

        async def serve() -> None:
            await Serving(settings, port).run()

        asyncio.run(serve())
    except DeskError as error:
        logs.logger().error("flows stopped", reason=str(error))
        print(f"flows: {error}", file=sys.stderr)  # noqa: T201  # The supervisor's file, or a user's terminal.
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
