"""A page that opens anywhere and needs no network: its styles, its script and what it draws are in it."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def page(template: str, title: str, subtitle: str, pictures: Mapping[str, Any], **values: Any) -> str:
    """A page of this folder's template. The same values give the same page, to the byte.

    Args:
        template: Its file; it extends `page.html.jinja`.
        title: The heading.
        subtitle: Under it.
        pictures: Plotly's data and layout, by the id of the element that they are drawn in.
        values: What the template shows besides.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Within a script nothing is escaped: the one thing that would end it is spelled as JSON also allows.
    drawn = json.dumps(pictures, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    made: str = templates.get_template(template).render(
        title=title,
        subtitle=subtitle,
        plotly=Markup(_plotly()),  # noqa: S704  # The library's own script.
        pictures=Markup(drawn),  # noqa: S704  # Every < in it is spelled out.
        **values,
    )
    return made


def _plotly() -> str:
    """The script of the installed Plotly; importing the package itself would cost more than the whole page."""
    found = find_spec("plotly")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0])
    return (folder / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
