"""The journal as the bars dataflow's source."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from market.chunks import Chunk, Position
from market.errors import DeskError
from market.journal_rows import CorruptRow, RowKind
from market.ticks import QUOTE, TICK, Batch
from sinks.doorbell import Doorbell
from sinks.journal import JournalWriter
from sources.journal_tail import InFlight, JournalTail, restore, snapshot

DAY = 19_675 * 86_400_000_000_000


def ticks(clock: int, n: int = 1) -> Batch:
    records = np.zeros(n, TICK)
    records["received_time"] = clock
    return records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def writer(folder: Path) -> Iterator[JournalWriter]:
    with JournalWriter(folder, lambda: DAY) as opened:
        yield opened


def rows_of(chunks: list[Chunk]) -> list[tuple[int, bool]]:
    return [
        (seq, beat)
        for chunk in chunks
        for seq, beat in zip(chunk.row_seq.tolist(), chunk.row_beat.tolist(), strict=True)
    ]


def run_flow(tail: JournalTail, recovery: RecoveryConfig | None, see: Callable[[Chunk], None]) -> list[Chunk]:
    """Run a flow of the tail alone, an epoch a batch; `see` may stop it."""
    out: list[Chunk] = []

    def look(chunk: Chunk) -> Chunk:
        see(chunk)
        return chunk

    flow = Dataflow("tail")
    op.output("out", op.map("see", op.input("journal", flow, tail), look), TestingSink(out))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    return out


def test_a_flow_stopped_and_resumed_anywhere_sees_each_row_once_with_the_same_beats(
    folder: Path, writer: JournalWriter, tmp_path: Path
):
    """A beat depends on the row before it, also where that was read before the restart."""
    rng = np.random.default_rng(5)
    clocks = {0: 0, 1: 0}
    for _ in range(300):
        domain = int(rng.integers(0, 2))
        clocks[domain] += int(rng.integers(0, 40_000_000))
        writer.append(RowKind.TICKS, domain, ticks(clocks[domain]))
    whole = run_flow(JournalTail(folder, threading.Event(), until_end=True), None, lambda _: None)
    assert [seq for seq, _ in rows_of(whole)] == [*range(1, 301)]

    recovery_folder = tmp_path / "recovery"
    recovery_folder.mkdir()
    init_db_dir(recovery_folder, 1)
    recovery = RecoveryConfig(str(recovery_folder))
    parts: list[Chunk] = []
    ended = False
    while not ended:
        stop = threading.Event()
        left = int(rng.integers(1, 4))
        seen = [0]

        def see(_: Chunk, stop: threading.Event = stop, left: int = left, seen: list[int] = seen) -> None:
            seen[0] += 1
            if seen[0] == left:
                stop.set()

        tail = JournalTail(folder, stop, until_end=True, max_ticks=17)
        parts += run_flow(tail, recovery, see)
        ended = not stop.is_set()

    assert len(parts) > 10
    assert rows_of(parts) == rows_of(whole)


def test_rows_that_come_are_emitted_and_stop_ends_the_source(folder: Path, writer: JournalWriter, tmp_path: Path):
    """The live case: woken by the bell, at once, and a stop is not waited for longer than one block."""
    stop = threading.Event()
    bell = tmp_path / "bell"
    got: list[int] = []
    in_flight = InFlight()

    def see(chunk: Chunk) -> None:
        in_flight.done()
        got.extend(chunk.row_seq.tolist())
        if got[-1] == 20:
            stop.set()

    def write() -> None:
        with Doorbell(bell) as doorbell:
            for n in range(20):
                doorbell.ring(writer.append(RowKind.TICKS, 0, ticks(n)))

    thread = threading.Thread(target=write)
    thread.start()
    run_flow(JournalTail(folder, stop, doorbell=bell, in_flight=in_flight), None, see)
    thread.join()
    assert got == [*range(1, 21)]
    assert not bell.exists()


def part(folder: Path, **options):
    tail = JournalTail(folder, options.pop("stop", threading.Event()), **options)
    assert tail.list_parts() == ["journal"]
    return tail.build_part("journal", "journal", None)


def test_the_source_waits_for_the_bell_and_no_longer(folder: Path, writer: JournalWriter, tmp_path: Path):
    bell = tmp_path / "bell"
    source = part(folder, doorbell=bell, block_ms=20_000)
    begun = time.monotonic()
    with Doorbell(bell) as doorbell:
        timer = threading.Timer(0.05, lambda: doorbell.ring(writer.append(RowKind.TICKS, 0, ticks(1))))
        timer.start()
        (chunk,) = source.next_batch()
        timer.join()
    assert time.monotonic() - begun < 10
    assert chunk.last_seq == 1
    source.close()


def test_a_ring_that_got_lost_costs_one_block_and_no_row(folder: Path, writer: JournalWriter, tmp_path: Path):
    """The kernel's queue holds ten datagrams; a bell may also be rung before anyone listens."""
    source = part(folder, doorbell=tmp_path / "bell", block_ms=60)
    timer = threading.Timer(0.02, lambda: writer.append(RowKind.TICKS, 0, ticks(1)))
    timer.start()
    (chunk,) = source.next_batch()
    timer.join()
    assert chunk.last_seq == 1
    source.close()


def test_nothing_more_is_emitted_while_something_is_in_flight(folder: Path, writer: JournalWriter):
    """Blocking then would starve what is downstream, since both run in one thread."""
    in_flight = InFlight()
    source = part(folder, in_flight=in_flight, block_ms=60_000)
    writer.append(RowKind.TICKS, 0, ticks(1))
    assert len(source.next_batch()) == 1
    writer.append(RowKind.TICKS, 0, ticks(2))
    assert (list(source.next_batch()), in_flight.count) == ([], 1)
    in_flight.add()
    in_flight.done()
    in_flight.done()
    assert [chunk.last_seq for chunk in source.next_batch()] == [2]
    assert source.next_awake() < datetime.now(UTC)


def test_a_stop_ends_the_source_even_while_something_is_in_flight(folder: Path, writer: JournalWriter):
    """A store that is away must not keep the process from ending."""
    stop = threading.Event()
    in_flight = InFlight()
    source = part(folder, stop=stop, in_flight=in_flight)
    writer.append(RowKind.TICKS, 0, ticks(1))
    source.next_batch()
    stop.set()
    with pytest.raises(StopIteration):
        source.next_batch()
    assert source.snapshot() == (1, 1, ((0, 1),))


def test_quotes_alone_are_passed_over_and_remembered(folder: Path, writer: JournalWriter):
    writer.append(RowKind.QUOTES, 0, np.zeros(3, QUOTE))
    source = part(folder, block_ms=1)
    assert list(source.next_batch()) == []
    assert source.snapshot() == (1, 1, ())


def test_a_snapshot_is_plain_data_and_comes_back(folder: Path, writer: JournalWriter):
    position = Position(7, {3: 9, 0: 5})
    assert snapshot(position) == (1, 7, ((0, 5), (3, 9)))
    assert restore(snapshot(position)) == position
    with pytest.raises(DeskError, match="has version 2, this program knows 1"):
        restore((2, 7, ()))


def test_a_damaged_row_is_told_of_and_the_next_is_emitted(folder: Path, writer: JournalWriter):
    for n in range(3):
        writer.append(RowKind.TICKS, 0, ticks(n))
    writer._connection.execute("UPDATE rows SET clock = 9 WHERE seq = 2")
    told: list[CorruptRow] = []
    (chunk,) = part(folder, on_corrupt=told.append).next_batch()
    assert chunk.row_seq.tolist() == [1, 2, 3], "marks of doubt stand in for it"
    assert [(one.first_seq, one.last_seq) for one in told] == [(2, 2)]


def test_a_journal_that_begins_anew_below_what_was_read_stops_the_flow(folder: Path, writer: JournalWriter):
    """Its rows would be passed over in silence until their numbers had caught up."""
    source = JournalTail(folder, threading.Event(), block_ms=1).build_part("journal", "journal", (1, 50, ()))
    assert list(source.next_batch()) == []
    writer.append(RowKind.TICKS, 0, ticks(1))
    with pytest.raises(DeskError, match="goes on at row 1 but had been read up to row 50: it was replaced or cut"):
        source.next_batch()


def test_a_journal_that_goes_on_after_a_jump_is_read_on(folder: Path):
    """Ingest may come back after bars, and then numbers from above what any consumer had seen."""
    source = JournalTail(folder, threading.Event(), block_ms=1).build_part("journal", "journal", (1, 50, ()))
    assert list(source.next_batch()) == []
    with JournalWriter(folder, lambda: DAY, first_seq=51) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        assert [chunk.first_seq for chunk in source.next_batch()] == [51]
