"""The one order of ticks, closed bars and controls, and what counts in it."""

import numpy as np
import pytest
from ran.running import loops
from traded.paper_desk import GRACE, MINUTE, SECOND, PaperDesk

from dataflows.paper.total_order import closed_until
from market.ticks import MarkKind

BTC, ETH = "SIM:BTCUSD", "SIM:ETHUSD"

FLIP = '''"""Turns at each bar."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import Needs


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.ones(1),)


def decide(state, bar, p):
    state[0][0] = -state[0][0]
    return state[0][0]
'''


@pytest.fixture
def desk(tmp_path):
    """A minute in which two markets have traded; what follows is each test's own."""
    made = PaperDesk(tmp_path / "desk", loops=loops())
    (tmp_path / "flip.py").write_text(FLIP)
    made.tick(BTC, 100.0, made.now + SECOND)
    made.tick(ETH, 200.0, made.now + SECOND)
    minute_over(made)
    made.make_bars()
    made.trade()
    yield made
    made.close()


def minute_over(desk):
    """The row at which the minute in hand is over for the bars; in the grace, the minute before it."""
    return desk.clock((desk.now - GRACE) // MINUTE * MINUTE + MINUTE + GRACE)


def test_an_order_fills_at_the_first_tick_behind_the_row_at_which_its_bar_became_known(desk, tmp_path):
    """Ticks of the new minute that came before the bar was known filled nothing: nobody could have asked yet."""
    desk.start("flip", folder=tmp_path, run="flip")
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND)
    desk.tick(BTC, 102.0, end + SECOND)  # Of the next minute, while the grace lasts.
    boundary = minute_over(desk)
    first = desk.tick(BTC, 103.0, desk.now + SECOND)
    desk.tick(BTC, 104.0, desk.now + SECOND)
    desk.make_bars()
    desk.trade()

    (decision,) = desk.rows("decisions")
    (fill,) = desk.rows("fills")
    assert (decision["seq"], decision["time"], decision["exposure"]) == (boundary, end, 1.0)
    assert (fill["seq"], fill["price"]) == (first, 103.0)


def test_ticks_of_the_boundarys_own_row_come_before_its_bars(desk, tmp_path):
    """A row of ticks may be what closes a minute: what it holds was traded before anybody knew of the bar."""
    desk.start("flip", folder=tmp_path, run="flip")
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND)
    boundary = desk.tick(BTC, 102.0, end + GRACE)
    after = desk.tick(BTC, 103.0, end + GRACE + SECOND)
    desk.make_bars()
    desk.trade()

    assert [row["seq"] for row in desk.rows("decisions")] == [boundary]
    assert [row["seq"] for row in desk.rows("fills")] == [after]


def test_a_late_tick_of_a_minute_that_has_closed_fills_nothing(desk, tmp_path):
    """Its bar had been told; who sent the order then could not have had that price."""
    desk.start("flip", folder=tmp_path, run="flip")
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND)
    minute_over(desk)
    desk.tick(BTC, 90.0, desk.now + SECOND, event=end - 1)
    counted = desk.tick(BTC, 103.0, desk.now + SECOND, event=end)
    desk.make_bars()
    desk.trade()

    assert [(row["seq"], row["price"]) for row in desk.rows("fills")] == [(counted, 103.0)]


def test_a_correction_changes_no_decision_and_is_told(desk, tmp_path):
    """The late tick makes a second revision of the minute, which the run had seen."""
    desk.start("flip", folder=tmp_path, run="flip")
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND, size=1.0)
    minute_over(desk)
    desk.tick(BTC, 90.0, desk.now + SECOND, event=end - 1, size=2.0)
    desk.tick(BTC, 103.0, desk.now + SECOND)
    minute_over(desk)
    desk.make_bars()
    desk.trade()

    (corrected,) = [row for row in desk.rows("revisions") if row["interval"] == "1m"]
    assert (corrected["revision"], corrected["start"]) == (2, end - MINUTE)
    assert corrected["old"] == [101.0, 101.0, 101.0, 101.0, 1.0]
    assert corrected["new"] == [101.0, 101.0, 90.0, 90.0, 3.0]
    assert [row["bars"]["close"] for row in desk.rows("decisions")] == [101.0, 103.0]


def test_only_the_stream_that_makes_the_bars_counts(desk, tmp_path):
    """Another feed of the symbol is journaled as well; once it takes over, it is the one that counts."""
    desk.start("flip", folder=tmp_path, run="flip")
    sim = desk.streams[BTC]
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND)
    other = desk.writer.stream("kraken", desk.writer.streams[sim].symbol, desk.writer.streams[sim].kind, 0).id
    minute_over(desk)
    desk.streams[BTC] = other
    desk.tick(BTC, 55.0, desk.now + SECOND)
    desk.mark(MarkKind.DESIGNATED, other)
    desk.streams[BTC] = sim
    desk.tick(BTC, 66.0, desk.now + SECOND)
    desk.streams[BTC] = other
    counted = desk.tick(BTC, 103.0, desk.now + SECOND)
    desk.make_bars()
    desk.trade()

    assert [(row["seq"], row["price"]) for row in desk.rows("fills")] == [(counted, 103.0)]


def test_a_control_takes_effect_right_behind_the_row_that_it_was_given(desk, tmp_path):
    """What the run does stops at that row, whenever it is read again."""
    desk.start("flip", folder=tmp_path, run="flip")
    minutes = []
    for price in (101.0, 102.0, 103.0, 104.0):
        end = desk.now // MINUTE * MINUTE + MINUTE
        desk.tick(BTC, price, end - SECOND)
        minutes.append(minute_over(desk))
    between = desk.tick(BTC, 105.0, desk.now + SECOND)
    desk.ask("flip", "stop", at=desk.now)
    minute_over(desk)
    desk.make_bars()
    desk.trade()

    (stop,) = [one for one in desk.book.controls() if one.action == "stop"]
    assert stop.applied_seq == between
    assert [row["seq"] for row in desk.rows("decisions")] == minutes
    assert desk.book.run("flip")[0]["state"] == "stopped"
    assert desk.book.run("flip")[0]["ended_seq"] == between


def test_a_run_is_shown_nothing_that_was_known_before_it_began(desk, tmp_path):
    """What was known is its warm-up, which is kept with it."""
    desk.start("flip", folder=tmp_path, run="flip")
    desk.tick(BTC, 101.0, desk.now + SECOND)
    minute_over(desk)
    desk.make_bars()
    desk.trade()

    run = desk.book.run("flip")[0]
    assert run["warm_up"] == 1
    assert run["streams"] == {BTC: desk.streams[BTC]}
    assert [row["time"] for row in desk.rows("decisions")] == [run["closed_until"] + MINUTE]


def test_ticks_go_on_while_bars_are_waited_for_and_decisions_do_not(desk, tmp_path):
    """The minute's end is a place that nothing goes beyond until the bars dataflow has been there."""
    desk.start("flip", folder=tmp_path, run="flip")
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, 101.0, end - SECOND)
    boundary = minute_over(desk)
    desk.tick(BTC, 102.0, desk.now + SECOND)
    desk.trade()
    assert desk.rows("decisions") == []
    assert desk.progress.waits_for_bars
    assert desk.progress.seq == boundary

    desk.make_bars()
    desk.trade()
    assert len(desk.rows("decisions")) == len(desk.rows("fills")) == 1


def test_ordinarily_bars_are_logged_with_the_very_row_of_their_boundary(desk):
    """What the order relies on for speed, and not for being right."""
    desk.walk(20, late=0.0)
    desk.make_bars()
    chunks, _ = desk_chunks(desk)
    boundaries = set()
    closed = 0
    for chunk in chunks:
        for seq, clock, beats in zip(chunk.row_seq, chunk.row_clock, chunk.row_beat, strict=True):
            if beats and closed_until(int(clock), GRACE) > closed:
                closed = closed_until(int(clock), GRACE)
                boundaries.add(int(seq))
    logged = np.concatenate([part.rows for part in desk.store.revisions("bars")])
    assert set(logged["seq"][logged["revision"] == 1].tolist()) <= boundaries


def desk_chunks(desk):
    """All of the journal."""
    from market.chunks import Position
    from sources.journal import JournalReader

    with JournalReader(desk.journal) as reader:
        return reader.read_chunks(Position(), 1 << 20)
