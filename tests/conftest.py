"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

# Derandomised, so that a run says the same twice. The long profile draws anew each time and prints what it found: with
# 2,000 cases of each property, and 100,000 of the one that the kernel stands on.
settings.register_profile("suite", max_examples=100, derandomize=True, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "prove", max_examples=2_000, derandomize=False, deadline=None, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("POCKETQUANT_TEST_PROFILE", "suite"))


LONGEST = (
    "test_kill_nine", "test_kill_paper", "test_prefect_desk", "test_end_to_end", "test_kill_backfill", "test_parity",
    "test_gap_injection", "test_planner",
)  # fmt: skip
"""Files that take longest; with several processes they go first, so that none is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder of recorded messages and prices; tests that read it skip where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("POCKETQUANT_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"recorded data is absent: no folder {folder} (POCKETQUANT_TEST_DATA names another)")
    return folder
