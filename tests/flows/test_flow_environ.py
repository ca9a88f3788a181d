"""Prefect's settings are the desk's own, whatever the shell says."""

import json
import os
import subprocess
import sys

from flows import environ
from infra.folders import Folders

ASK = """
import json
from prefect.settings import get_current_settings
print(json.dumps(get_current_settings().to_environment_variables(exclude_unset=True)))
"""


def test_the_shells_settings_for_prefect_are_put_aside(tmp_path):
    """A user of Prefect's cloud has its address exported; a desk's runs must not end up there."""
    theirs = {"PREFECT_API_URL": "https://cloud.example/api", "PREFECT_API_KEY": "secret", "HOME": "/home/me"}
    environ.prepare(Folders(tmp_path), 4999, theirs)

    assert theirs["PREFECT_API_URL"] == "http://127.0.0.1:4999/api"
    assert theirs["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert "PREFECT_API_KEY" not in theirs
    assert theirs["HOME"] == "/home/me"


def test_prefect_knows_every_setting_by_the_name_we_give_it(tmp_path):
    """It ignores a misspelt one without a word, and the telemetry, or a database that only grows, would be back."""
    ours = {"PATH": os.environ["PATH"]}
    environ.prepare(Folders(tmp_path), 4999, ours)
    asked = subprocess.run([sys.executable, "-c", ASK], env=ours, capture_output=True, text=True, check=True)
    known = json.loads(asked.stdout)

    wanted = {name for name in ours if name.startswith("PREFECT_")}
    assert wanted - set(known) == set()
    assert known["PREFECT_SERVER_ANALYTICS_ENABLED"] == "False"
    assert set(known["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"].split(",")) == {"events", "flow_runs"}
    assert ours["DO_NOT_TRACK"] == "1"
