"""The page about flows lists those that there are."""

import re
from datetime import date
from pathlib import Path

from flows.deployments import table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flows.md").read_text()


def test_every_flow_is_on_the_page_and_no_other():
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(entry.flow.name for entry in table([], date(2026, 1, 1)))
    assert len(rows) == len(set(rows))
