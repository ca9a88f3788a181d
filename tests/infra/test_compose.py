"""The containers: what a compose file promises can be read from it, without an engine."""

import re
from pathlib import Path

import pytest
import yaml

HOUSE = Path(__file__).resolve().parents[2]
TEXT = (HOUSE / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]


def test_the_five_services_are_there():
    assert set(SERVICES) == {"mongodb", "redis", "ingest", "bars", "paper"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_checked_limited_and_restarted(name):
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["mem_limit"].endswith("m")
    assert service["restart"] == "unless-stopped"


def test_all_of_it_fits_a_server_of_four_gigabytes():
    assert sum(int(service["mem_limit"].removesuffix("m")) for service in SERVICES.values()) <= 3328


def test_no_port_is_published_beyond_loopback():
    ports = [str(port) for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_data_is_in_named_volumes():
    named = yaml.safe_load(TEXT)["volumes"]
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert mounts
    assert all(mount.split(":")[0] in named for mount in mounts)


def test_secrets_come_from_the_environment_and_are_required():
    """A password that is not set stops the start; none stands in the file or in its example."""
    for secret in ("MONGO_PASSWORD", "REDIS_PASSWORD"):
        assert f"${{{secret}:?" in TEXT
        assert re.search(rf"^{secret}=$", (HOUSE / ".env.example").read_text(), re.MULTILINE)
