"""kill -9 of the journal's writer: what was acknowledged is there, and numbering goes on."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sinks.journal import JournalWriter
from sources.journal import JournalReader

pytestmark = pytest.mark.crash

_WRITER = """
import sys
from pathlib import Path
import numpy as np
from market.journal_rows import RowKind
from market.ticks import TICK
from sinks.journal import JournalWriter

n = int(sys.argv[2])
day = 86_400_000_000_000
# A new day every 400 rows, so that some kills fall into a change of files.
with JournalWriter(Path(sys.argv[1]), lambda: (19_675 + n // 400) * day, checkpoint_s=0.005) as writer:
    print("ready", writer.last_seq, flush=True)
    while True:
        n += 1
        records = np.zeros(1 + n % 7, TICK)
        records["trade_id"] = n
        seq = writer.append(RowKind.TICKS, 0, records)
        sys.stdout.write(f"{seq} {n}\\n")
        sys.stdout.flush()
"""


def test_nothing_acknowledged_is_lost_whenever_the_writer_is_killed(tmp_path: Path):
    """A pipe holds what the writer had said before it died: each row it named must be in the journal as it named it."""
    rng = random.Random(7)
    acknowledged: list[tuple[int, ...]] = []
    for _ in range(8):
        number = acknowledged[-1][1] if acknowledged else 0
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        _, last_seq = writer.stdout.readline().split()
        assert int(last_seq) >= (acknowledged[-1][0] if acknowledged else 0)
        said = [writer.stdout.readline() for _ in range(rng.randrange(900))]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        # The last line may be cut off; then that row was not acknowledged.
        acknowledged += [tuple(map(int, line.split())) for line in said if line.endswith("\n")]

    with JournalReader(tmp_path) as reader:
        stored = {row.seq: int(row.records["trade_id"][0]) for row in reader.read_all()}
    assert len(acknowledged) > 100
    assert all(stored[seq] == n for seq, n in acknowledged)
    assert [*stored] == [*range(1, len(stored) + 1)], "no number is missing or given twice"
    with JournalWriter(tmp_path, lambda: 0) as again:
        assert again.last_seq == len(stored)
    assert len([*tmp_path.glob("*.sqlite")]) > 2, "some kills fell into a change of files"
