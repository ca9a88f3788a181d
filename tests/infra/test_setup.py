"""What a bare machine lacks gets one line that says what to do; nothing is installed here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script and an empty lock, and no environment."""
    (tmp_path / "infra").mkdir()
    shutil.copy(HOUSE / "infra" / "setup.sh", tmp_path / "infra")
    (tmp_path / "requirements.lock").touch()
    shutil.copy(HOUSE / "requirements-dev.lock", tmp_path)
    return tmp_path


def interpreter(folder: Path, body: str) -> str:
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return str(script)


def run(checkout: Path, python: str, kind: str = "run") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "infra/setup.sh", kind],
        cwd=checkout,
        env={"PYTHON": python, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wrong_python_is_named_with_what_is_needed(checkout, tmp_path):
    ran = run(checkout, interpreter(tmp_path, '[ "$1" = --version ] && echo Python 3.9.2; exit 1'))
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "needs Python 3.11 or 3.12, found Python 3.9.2" in ran.stderr


def test_a_missing_venv_module_is_named_with_the_package_that_has_it(checkout, tmp_path):
    """Debian ships Python without it; its own message is eight lines long."""
    body = f'case "$2" in *venv*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    ran = run(checkout, interpreter(tmp_path, body))
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "lacks the venv module" in ran.stderr
    assert f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in ran.stderr


def test_an_unknown_kind_of_environment_is_wrong_use(checkout):
    ran = run(checkout, sys.executable, "production")
    assert (ran.returncode, ran.stderr) == (2, "setup: 'production' is none of run, dev, bench\n")


def test_locks_are_hashed_and_name_no_host():
    """A lock that names an index would tie every user to it."""
    for lock in HOUSE.glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
