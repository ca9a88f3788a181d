"""DuckDB as another program: in a process of its own, as those who read our files have it."""

import json
import subprocess
import sys

_ASK = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.argv[1]).fetchall()))"


def duckdb_rows(sql: str) -> list[tuple]:
    """Rows of a query, as plain values."""
    # Within the tests' own process its binding complains, at the end, of what other libraries have not let go.
    done = subprocess.run([sys.executable, "-c", _ASK, sql], capture_output=True, text=True, check=True)
    return [tuple(row) for row in json.loads(done.stdout)]
