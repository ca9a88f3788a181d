"""The page of metrics says what there is, and nothing else."""

import re
from pathlib import Path

from infra.metrics import Metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_every_metric_is_on_the_page_with_its_kind_labels_and_help():
    """What a dashboard is built from must not differ from what is served."""
    served = set()
    for metric in vars(Metrics()).values():
        if hasattr(metric, "describe"):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            served.add((name, family.type, labels, family.documentation))

    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| .*? \| (.*) \|$", PAGE.read_text(), re.MULTILINE)

    assert {(name, kind, labels.strip(), text) for name, kind, labels, text in rows} == served
