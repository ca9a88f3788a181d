"""Prefect's own settings: whatever the user's shell or profile says, a desk's server and runs have these and no others.

They must be in the environment before anything of Prefect is imported.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from infra.folders import Folders

HOST: Final = "127.0.0.1"

RUNS_KEPT_DAYS: Final = 14
EVENTS_KEPT_DAYS: Final = 3
"""Events are most of the database's bytes; nothing but the UI's feed reads the old ones."""
POLL_S: Final = 2
"""How often the runner asks for runs that a user may have started; Prefect's own 10 s make him wait."""
KEEPER_POLL_S: Final = 5
"""How often it asks for those that keep the desk whole; each asking costs the server some milliseconds."""


def api_url(port: int) -> str:
    """Where Prefect's API answers."""
    return f"{ui_url(port)}/api"


def ui_url(port: int) -> str:
    """Where a browser finds Prefect's UI."""
    return f"http://{HOST}:{port}"


def prepare(folders: Folders, port: int, environ: MutableMapping[str, str] | None = None) -> None:
    """Put a desk's Prefect settings into the environment, in place of any that are there.

    Args:
        folders: The desk's; the database, the UI's copy and results go into its `prefect`.
        port: Of the server, on the loopback address.
        environ: Changed in place; `os.environ` unless given.
    """
    environ = os.environ if environ is None else environ
    for name in [name for name in environ if name.startswith("PREFECT_")]:
        del environ[name]
    environ.update(_settings(folders.prefect, port))


def _settings(home: Path, port: int) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url(port),
        # Without a server a flow must say so at once; Prefect would start one of its own.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        # The default lets any page that the user's browser shows call this API; `flows.guard` refuses them too.
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ui_url(port),
        # Else Prefect copies the UI into its own package, where two desks would overwrite each other's.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        # Relative, so that the UI also works through a tunnel that ends on another port.
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Nothing is reported to anyone.
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        # By default only events go, and runs stay for 90 days: at a run a minute that is gigabytes.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(RUNS_KEPT_DAYS * 86_400),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{EVENTS_KEPT_DAYS}D",
        # Runs are planned some hours ahead, and at least three of each schedule; 100 days of rows help nobody.
        "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "12",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "3",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": str(POLL_S),
        # If the means of cancelling a run fails, the run ends: one that cannot be stopped is worse than one to repeat.
        "PREFECT_RUNNER_CRASH_ON_CANCELLATION_FAILURE": "true",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        # Its means against foreign pages is a token of its own; `flows.guard` is ours.
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    }
