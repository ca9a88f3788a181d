"""The files of the desk's runs at the address of Prefect's UI, so that an artifact can link to a report.

A browser opens no file of the disk from a page. What it is shown here can do nothing with the server: a report's
script runs in a sandbox of its own.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flows.guard import Application, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.applications import Starlette

PREFIX: Final = "/reports"

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; sandbox allow-scripts allow-downloads"
)
"""Of these files: nothing is loaded, nobody is called, and the page is of no origin."""


class ReportFiles:
    """Wraps the server's application."""

    def __init__(self, application: Application, runs: Path) -> None:
        """Begin.

        Args:
            application: Asked for everything else.
            runs: Folder of the desk's runs.
        """
        self._application = application
        self._files = _site(runs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file, or pass the request on."""
        if scope["type"] == "http" and str(scope["path"]).startswith(f"{PREFIX}/"):
            await self._files(scope, receive, _confined(send))
        else:
            await self._application(scope, receive, send)


def link(path: Path, runs: Path) -> str:
    """The address of a run's file, from the root of whatever server the UI is seen at; empty if it is none of these.

    >>> link(Path("/desk/runs/macd-1a2b/report.html"), Path("/desk/runs"))
    '/reports/macd-1a2b/report.html'
    >>> link(Path("/elsewhere/report.html"), Path("/desk/runs"))
    ''
    """
    if not path.is_relative_to(runs):
        return ""
    return f"{PREFIX}/{quote(path.relative_to(runs).as_posix())}"


def _site(runs: Path) -> "Starlette":
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    runs.mkdir(parents=True, exist_ok=True)
    return Starlette(routes=[Mount(PREFIX, StaticFiles(directory=runs))])


def _confined(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff")]
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return sending
