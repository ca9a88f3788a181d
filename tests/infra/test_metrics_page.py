"""The page of metrics says what there is, and nothing else."""

import re
from pathlib import Path

import pytest

from infra.metrics import Metrics, Process

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


@pytest.mark.parametrize("process", ["supervisor", "ingest", "bars", "paper"])
def test_a_process_serves_what_the_page_says_that_it_does(process: Process):
    """Free disk space at 0 on the page of a process that never measures it would wake somebody at night."""
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| .*? \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    expected = {name.removesuffix("_total") for name, processes in rows if process in processes.split(", ")}

    assert {family.name for family in Metrics(process).registry.collect()} == expected
