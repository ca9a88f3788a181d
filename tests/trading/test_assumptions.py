"""Assumptions as a user writes and reads them, and how they come into an account."""

import numpy as np
import pytest
from pydantic import ValidationError
from scripted.accounts import account, bars, once, run

from market.errors import DeskError
from trading import requests as ask
from trading.assumptions.borrow import Borrow
from trading.assumptions.corporate_actions import CorporateActions
from trading.assumptions.fees import Fees, parse_fees
from trading.assumptions.fills import Fills
from trading.assumptions.lots import Lots, fractional_lot
from trading.assumptions.minimum import Minimum
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage, parse_slippage
from trading.assumptions.venue_fees import VENUES
from trading.book import NO_SCHEDULE, TIERS
from trading.limits import Limits
from trading.opening import Conditions, Terms
from trading.reasons import explained
from trading.records import ORDER, Reason, Side, State


@pytest.mark.parametrize(
    ("text", "fees"),
    [
        ("none", Fees()),
        ("0", Fees()),
        ("5bps", Fees(bps=5)),
        ("10/25bps", Fees(maker_bps=10, bps=25)),
        ("-1/5 bps", Fees(maker_bps=-1, bps=5)),
        ("0.005/share + 1min", Fees(per_unit=0.005, least=1)),
        ("1", Fees(fixed=1)),
        ("Kraken", Fees(venue="kraken")),
    ],
)
def test_fees_are_read_as_they_are_written(text, fees):
    """One or several, joined by +."""
    assert parse_fees(text) == fees


@pytest.mark.parametrize("text", ["", "cheap", "5 percent", "1bps+x", "10000bps", "nanbps", "..bps", "-5bps"])
def test_fees_that_are_not_understood_are_one_sentence(text):
    """Names what was written, and what may be."""
    with pytest.raises(DeskError, match=r"fees .* are (not understood at|out of range)"):
        parse_fees(text)


@pytest.mark.parametrize(
    ("text", "slippage"),
    [
        ("none", Slippage()),
        ("5bps", Slippage(bps=5)),
        ("0.02", Slippage(spread=0.02)),
        ("10%volume", Slippage(volume_share=0.1)),
        ("2bps+0.1impact+25%volume", Slippage(bps=2, impact=0.1, volume_share=0.25)),
    ],
)
def test_slippage_is_read_as_it_is_written(text, slippage):
    """One or several, joined by +."""
    assert parse_slippage(text) == slippage


@pytest.mark.parametrize("text", ["", "much", "5", "200%volume", "-1bps", "nan", "inf", "1bps+"])
def test_slippage_that_is_not_understood_is_one_sentence(text):
    """Names what was written, and what may be; a spread of 5 is a spread."""
    if text == "5":
        assert parse_slippage(text).spread == 5
        return
    with pytest.raises(DeskError, match=r"slippage .* is (not understood at|out of range)"):
        parse_slippage(text)


def test_every_assumption_says_itself_in_words():
    """For the report, where all of them are named; symbols that differ get a line each."""
    conditions = Conditions(
        terms={"A:X": Terms(fees=Fees(venue="okx"), lots=Lots(lot=0.001, tick=0.01))},
        others=Terms(
            fees=Fees(fixed=1, per_unit=0.01, bps=5, maker_bps=2, least=2, most_bps=100),
            slippage=Slippage(bps=1, spread=0.02, impact=0.1, volume_share=0.1),
            borrow=Borrow(short_percent=3, funding_percent=0.01),
            minimum=Minimum(notional=10),
            session_end=SessionEnd(flat=True),
        ),
        fills=Fills(touch=True),
        limits=Limits(leverage=2, shorting=False, position=0.5, exposure=1.5, daily_loss=0.02, orders=3, late_ms=500),
        actions=CorporateActions(),
    )
    lines = dict(conditions.lines(["A:X", "B:Y"]))
    assert lines["fees of A:X"] == "okx's maker and taker tiers by 30 days of the account's own volume"
    assert lines["fees of B:Y"] == (
        "1 an order and 0.01 a unit and 5 bps to take, 2 bps to make, at least 2, at most 100 bps"
    )
    assert lines["slippage of A:X"] == "none"
    assert lines["slippage of B:Y"] == (
        "1 bps and half of a spread of 0.02 and 0.1 of the price x share of the bar's volume, "
        "at most 0.1 of a bar's volume"
    )
    assert lines["lots of A:X"] == "sizes in lots of 0.001, prices in steps of 0.01"
    assert lines["borrow of B:Y"] == "3 % a year on short positions and funding of 0.01 % each 8 hours"
    assert lines["limits"] == (
        "gross exposure up to 2 x equity; long only; a position up to 0.5 x equity; all positions up to 1.5 x equity; "
        "no new risk after a loss of 2.00% in a session; up to 3 orders a minute; "
        "no orders on forming or partial bars; none on bars known more than 500 ms late"
    )
    assert "splits and dividends" in lines["corporate actions"]
    assert lines["fills"] == (
        "market orders fill at the next bar's open, limits once reached, stops before limits, gaps at the open"
    )


def test_conditions_survive_their_json():
    """A manifest holds them as JSON."""
    conditions = Conditions(others=Terms(fees=Fees(venue="kraken"), lots=Lots(lot=1e-8)), limits=Limits(drawdown=0.2))
    assert Conditions.model_validate_json(conditions.model_dump_json()) == conditions


def test_lots_are_whole_numbers_of_the_ledgers_unit():
    """A lot finer than 1e-8 could not be counted."""
    with pytest.raises(ValidationError, match="a lot is a whole number of 1e-8 units"):
        Lots(lot=1.5e-8)


@pytest.mark.parametrize(("price", "lot"), [(60_000, 1e-8), (100, 1e-5), (0.5, 1e-3), (1e-5, 1.0), (0, 1e-8)])
def test_a_fractional_lot_is_worth_about_a_thousandth(price, lot):
    """So that a cheap coin's units stay countable and a dear one's fine enough."""
    assert fractional_lot(price) == lot


def test_the_venues_tables_rise_in_volume_and_fit():
    """A schedule has room for all of its tiers."""
    for tiers in VENUES.values():
        volumes = [tier.volume for tier in tiers]
        assert volumes == sorted(set(volumes))
        assert volumes[0] == 0
        assert len(tiers) <= TIERS
        assert [tier.taker_bps for tier in tiers] == sorted((tier.taker_bps for tier in tiers), reverse=True)


def test_two_symbols_of_a_venue_share_its_schedule():
    """What was traded in one counts for the fees of the other."""
    kraken = Terms(fees=Fees(venue="kraken"))
    book = account(symbols=("A:X", "A:Y", "B:Z"), terms={"A:X": kraken, "A:Y": kraken})
    assert list(book.positions["schedule"]) == [0, 0, NO_SCHEDULE]


def test_an_unbounded_volume_share_fills_all():
    """Without a share a bar without volume fills as well: it is not known how much there was."""
    book = account()
    run(book, bars((1, 1, 1, 1), (1, 1, 1, 1), volume=0.0), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 5.0)))
    assert book.positions[0].lots == 5


def test_a_bigger_order_moves_the_price_more():
    """0.1 x 50 of 1,000 are 0.5 % of 100; sized by money it is what the moved price pays for."""
    terms = Terms(slippage=Slippage(impact=0.1))
    book = account(others=terms)
    run(book, bars(*[(100, 100, 100, 100)] * 2), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 50.0)))
    assert book.fills[0].price == 100.5
    book = account(others=terms)
    run(book, bars(*[(100, 100, 100, 100)] * 2), once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    # 100 units would move it to 101, which pays for 99; those move it to 100.99.
    assert (book.fills[0].units, book.fills[0].price) == (99.0, pytest.approx(100.99))
    assert book.currencies[0].cash >= 0


def test_every_reason_has_a_sentence():
    """Whatever state an order may be in with it."""
    order = np.zeros(1, ORDER)[0]
    for reason in Reason:
        for state in State:
            order.reason, order.state = reason, state
            assert explained(order)
