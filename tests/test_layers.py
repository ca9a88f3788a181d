"""The house has one direction: `pyproject.toml` draws it, import-linter checks it."""

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = (
    "market", "trading", "strategies", "operators", "sources", "sinks", "dataflows", "history", "backtest", "flows",
    "infra", "pocketquant",
)  # fmt: skip
MODULES = sorted(
    ".".join(file.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for file in (HOUSE / package).rglob("*.py")
    if file.name != "__main__.py"
)


def test_imports_run_one_way():
    """A contract that import-linter finds broken is printed with the chain of imports that breaks it."""
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_does_work_when_imported(package):
    """Importing opens no file for writing, no socket, starts no process and no thread."""
    modules = [name for name in MODULES if name.split(".")[0] == package]
    watch = (
        "import importlib, sys, threading\n"
        "import numba, numpy, polars\n"  # They touch files and threads of their own at import.
        "seen = []\n"
        "def watch(event, args):\n"
        "    if event in ('socket.bind', 'socket.connect', 'subprocess.Popen', 'os.fork', 'os.mkdir', 'os.remove', "
        "'sqlite3.connect') or event == 'open' and isinstance(args[1], str) and set(args[1]) & set('wax+'):\n"
        "        seen.append((event, args))\n"
        f"names = {modules!r}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"  # First its libraries, which are not ours to judge.
        "threads = set(threading.enumerate())\n"
        f"for name in [n for n in sys.modules if n.split('.')[0] in {PACKAGES!r}]:\n"
        "    del sys.modules[name]\n"
        "sys.addaudithook(watch)\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "assert not seen, seen\n"
        "assert set(threading.enumerate()) == threads, threading.enumerate()\n"
    )
    ran = subprocess.run([sys.executable, "-B", "-c", watch], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
