"""What a run leaves to be looked at in Prefect's UI: Markdown with tables, and pictures within it.

A picture is a PNG inside the text: it needs no server of files, shows in both versions of the UI, and a raw SVG would
not (Source: measured). It stays under 100 KB, since each is a row in Prefect's database.
"""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_BYTES: Final = 100_000


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table.

    >>> print(table(["symbol", "bars"], [["SIM:BTCUSD", 5]]))
    | symbol | bars |
    |---|---|
    | SIM:BTCUSD | 5 |
    """
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def moment(time_ns: int | None) -> str:
    """A time for people, to the second, UTC.

    >>> moment(1_767_323_045 * 10**9)
    '2026-01-02 03:04:05'
    """
    return "" if time_ns is None else f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def picture(figure: "Figure", what: str) -> str:
    """A figure as Markdown.

    Args:
        figure: Drawn without pyplot, so that no window's toolkit is wanted.
        what: Said where a picture cannot be seen.
    """
    for dpi in (110, 80, 55, 40, 28):
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi)
        if file.tell() <= PNG_BYTES:
            break
    text = base64.b64encode(file.getvalue()).decode()
    return f"![{what}](data:image/png;base64,{text})"


def publish(key: str, markdown: str, description: str) -> None:
    """Show Markdown as an artifact of this run.

    Args:
        key: What its versions over the runs have in common: `coverage`.
        markdown: The text.
        description: One line about it.
    """
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(markdown=markdown, key=_key(key), description=description)


def _key(text: str) -> str:
    """Prefect allows lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
