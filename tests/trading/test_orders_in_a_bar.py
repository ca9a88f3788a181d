"""Limits, stops, trails and brackets over single bars: each fill worked out by hand from the stated rules."""

import pytest
from scripted.accounts import MINUTE, account, bars, logged, once, run

from trading import requests as ask
from trading.assumptions.fills import Fills
from trading.assumptions.lots import Lots
from trading.assumptions.slippage import Slippage
from trading.opening import Terms
from trading.records import Liquidity, Phase, Reason, Side, Sizing, State

QUIET = (100, 100.5, 99.5, 100)
"""The bar on whose close everything is decided."""


def filled(book, views, asked):
    """What one batch of requests, placed on the first close, came to: (row, side, units, price, reason, phase)."""
    run(book, views, once(0, asked))
    return [
        (int(f.row), Side(f.side).name, float(f.units), float(f.price), Reason(f.reason).name, Phase(f.phase).name)
        for f in logged(book)[1]
    ]


@pytest.mark.parametrize(
    ("side", "limit", "bar", "price", "phase"),
    [
        (Side.BUY, 98.0, (100, 101, 97.9, 99), 98.0, "INSIDE"),
        (Side.BUY, 98.0, (100, 101, 98, 99), None, None),  # Touched, not traded through.
        (Side.BUY, 98.0, (97, 99, 96, 98), 97.0, "OPEN"),  # The gap is the buyer's.
        (Side.BUY, 98.0, (98, 99, 97, 98), 98.0, "OPEN"),  # It could trade at once.
        (Side.BUY, 102.0, (100, 101, 99, 100), 100.0, "OPEN"),
        (Side.SELL, 102.0, (100, 102.1, 99, 100), 102.0, "INSIDE"),
        (Side.SELL, 102.0, (100, 102, 99, 100), None, None),
        (Side.SELL, 102.0, (103, 104, 101, 102), 103.0, "OPEN"),
    ],
)
def test_a_limit_fills_once_it_is_traded_through_and_a_gap_at_the_open(side, limit, bar, price, phase):
    """Never worse than the limit; better only where the bar opens beyond it."""
    found = filled(account(), bars(QUIET, bar), lambda o: ask.limit(o, 0, 0, side, 10.0, limit))
    assert found == ([] if price is None else [(1, side.name, 10.0, price, "LIMIT", phase)])


def test_a_limit_that_is_only_reached_fills_where_the_rule_says_so():
    """With `touch` the low is enough."""
    book = account(fills=Fills(touch=True))
    found = filled(book, bars(QUIET, (100, 101, 98, 99)), lambda o: ask.limit(o, 0, 0, Side.BUY, 10.0, 98.0))
    assert found == [(1, "BUY", 10.0, 98.0, "LIMIT", "INSIDE")]


def test_a_resting_limit_makes_and_an_order_that_crosses_takes():
    """Slippage is the taker's, and never carries a limit order beyond its limit."""
    terms = Terms(slippage=Slippage(spread=1.0))

    def both(orders):
        n = ask.limit(orders, 0, 0, Side.BUY, 10.0, 98.0)
        n = ask.limit(orders, n, 0, Side.BUY, 10.0, 100.25)
        return ask.limit(orders, n, 0, Side.BUY, 10.0, 103.0)

    book = account(others=terms)
    run(book, bars(QUIET, (100, 101, 97, 99)), once(0, both))
    _, fills, _ = logged(book)
    assert [(f.price, f.slippage, f.liquidity) for f in fills] == [
        (100.25, 0.25, Liquidity.TAKER),
        (100.5, 0.5, Liquidity.TAKER),
        (98.0, 0.0, Liquidity.MAKER),
    ]


@pytest.mark.parametrize(
    ("side", "stop", "bar", "price", "phase"),
    [
        (Side.SELL, 98.0, (100, 101, 98, 99), 98.0, "INSIDE"),  # Reached is enough.
        (Side.SELL, 98.0, (100, 101, 98.1, 99), None, None),
        (Side.SELL, 98.0, (95, 97, 94, 96), 95.0, "OPEN"),  # The gap is the seller's loss.
        (Side.BUY, 102.0, (100, 102, 99, 101), 102.0, "INSIDE"),
        (Side.BUY, 102.0, (104, 105, 103, 104), 104.0, "OPEN"),
    ],
)
def test_a_stop_fills_at_its_price_and_a_gap_at_the_open(side, stop, bar, price, phase):
    """What lies between the close and the open beyond the stop is lost."""
    found = filled(account(), bars(QUIET, bar), lambda o: ask.stop(o, 0, 0, side, 10.0, stop))
    assert found == ([] if price is None else [(1, side.name, 10.0, price, "STOP", phase)])


def test_slippage_makes_a_stop_worse():
    """98 less half of a spread of 0.5."""
    book = account(others=Terms(slippage=Slippage(spread=0.5)))
    found = filled(book, bars(QUIET, (100, 101, 97, 99)), lambda o: ask.stop(o, 0, 0, Side.SELL, 10.0, 98.0))
    assert found[0][3] == 97.75


@pytest.mark.parametrize(
    ("stop", "limit", "views", "found"),
    [
        # Reached inside: the limit is no worse than the stop, so it trades there at once.
        (102.0, 103.0, [(100, 104, 99, 101)], (1, 102.0, "INSIDE")),
        # A gap beyond the limit triggers it, and the low after the open is traded at the limit.
        (102.0, 103.0, [(105, 106, 102.5, 104)], (1, 103.0, "INSIDE")),
        # A gap beyond the limit, and no way back: it rests.
        (102.0, 103.0, [(105, 106, 104, 105), (104, 105, 102, 103)], (2, 103.0, "INSIDE")),
        # The open lies between stop and limit.
        (102.0, 103.0, [(102.5, 104, 102, 103)], (1, 102.5, "OPEN")),
        # A limit below the stop: when the low came is not known, and the close is above it.
        (102.0, 101.0, [(100, 103, 99, 102)], None),
        # The close is below it: after the stop the price has been there for certain.
        (102.0, 101.0, [(100, 103, 99, 100)], (1, 101.0, "INSIDE")),
        # Never reached.
        (102.0, 103.0, [(100, 101.9, 99, 100)], None),
    ],
)
def test_a_stop_limit_becomes_a_limit_when_its_stop_is_reached(stop, limit, views, found):
    """A buy: seven ways in which a bar can pass its two prices."""
    got = filled(account(), bars(QUIET, *views), lambda o: ask.stop_limit(o, 0, 0, Side.BUY, 10.0, stop, limit))
    assert got == ([] if found is None else [(found[0], "BUY", 10.0, found[1], "STOP_LIMIT", found[2])])


def entered(orders, *, then):
    """Ten bought at market, and what goes with them."""
    return then(orders, ask.market(orders, 0, 0, Side.BUY, 10.0))


@pytest.mark.parametrize(
    ("views", "found"),
    [
        # Decided at 100, so the trail begins at 95; the open of 100 changes nothing, the low reaches it.
        ([(100, 104, 95, 103)], (1, 95.0, "INSIDE")),
        # The high moves it to 99 after the bar; the next low reaches that.
        ([(100, 104, 96, 103), (103, 103, 99, 100)], (2, 99.0, "INSIDE")),
        # The high of 110 moves it to 105, and the close of 104 lies below: it was passed for certain.
        ([(100, 110, 96, 104)], (1, 105.0, "INSIDE")),
        # The open of 106 moves it to 101 before the low of 100.
        ([(100, 101, 99, 100.5), (106, 107, 100, 105)], (2, 101.0, "INSIDE")),
        # A gap below it.
        ([(100, 101, 99, 100), (90, 91, 89, 90)], (2, 90.0, "OPEN")),
    ],
)
def test_a_trailing_stop_follows_the_best_price_before_the_worst(views, found):
    """Five below the best so far; inside a bar the worse order of its extremes is taken, unless the close tells."""
    got = filled(account(), bars(QUIET, *views), lambda o: entered(
        o, then=lambda o, n: ask.trailing_stop(o, n, 0, Side.SELL, 10.0, 5.0)))  # fmt: skip
    assert got[0][:4] == (1, "BUY", 10.0, 100.0)
    assert got[1:] == [(found[0], "SELL", 10.0, found[1], "TRAILING_STOP", found[2])]


def test_a_trail_by_a_fraction_and_on_the_side_of_a_short():
    """Bought back 10 % above the lowest: 90 x 1.1."""

    def short(orders):
        n = ask.market(orders, 0, 0, Side.SELL, 10.0)
        return ask.trailing_stop_fraction(orders, n, 0, Side.BUY, 10.0, 0.1)

    got = filled(account(), bars(QUIET, (100, 101, 90, 91), (91, 99, 90.5, 98)), short)
    assert got[0][:4] == (1, "SELL", 10.0, 100.0)
    assert got[1][:2] == (2, "BUY")
    assert got[1][3] == pytest.approx(99.0)


LONG = {"take_profit": 104.0, "stop_loss": 97.0}


@pytest.mark.parametrize(
    ("views", "found"),
    [
        ([(100, 103, 98, 102), (102, 104.5, 101, 104)], (2, 104.0, "TAKE_PROFIT", "INSIDE")),
        ([(100, 103, 98, 99), (99, 100, 96, 97)], (2, 97.0, "STOP_LOSS", "INSIDE")),
        # Entered at the open, so that what follows in the bar counts.
        ([(100, 104.5, 99, 104)], (1, 104.0, "TAKE_PROFIT", "INSIDE")),
        ([(100, 101, 96, 98)], (1, 97.0, "STOP_LOSS", "INSIDE")),
        # Both in one bar: it was the loss.
        ([(100, 105, 96, 104)], (1, 97.0, "STOP_LOSS", "INSIDE")),
        # Gaps over either.
        ([(100, 101, 99, 100), (107, 108, 106, 107)], (2, 107.0, "TAKE_PROFIT", "OPEN")),
        ([(100, 101, 99, 100), (92, 93, 91, 92)], (2, 92.0, "STOP_LOSS", "OPEN")),
    ],
)
def test_a_bracket_leaves_at_its_profit_or_its_loss(views, found):
    """Entered at market at 100; the other exit is cancelled by the one that filled."""
    book = account()
    got = filled(book, bars(QUIET, *views), lambda o: ask.bracket(o, 0, 0, Side.BUY, 10.0, Sizing.UNITS, **LONG))
    row, price, reason, phase = found
    assert got == [(1, "BUY", 10.0, 100.0, "SIGNAL", "OPEN"), (row, "SELL", 10.0, price, reason, phase)]
    orders, _, [trade] = logged(book)
    ends = sorted((int(o.id), State(o.state).name, Reason(o.reason).name) for o in orders)
    exits = [("FILLED", reason), ("CANCELLED", "OCO")]
    assert ends == [(1, "FILLED", "SIGNAL")] + [
        (place, *end) for place, end in zip((2, 3), exits if reason == "TAKE_PROFIT" else exits[::-1], strict=True)
    ]
    assert trade.pnl == 10 * (price - 100)
    assert trade.exit_reason == Reason[reason]


@pytest.mark.parametrize(
    ("bar", "exits"),
    [
        # Entered at 98 on the way down; the low of 96.9 came after.
        ((100, 101, 96.9, 98), [(97.0, "STOP_LOSS")]),
        # The high may have been before the entry, and the close does not tell: no profit yet.
        ((100, 105, 97.5, 101), []),
        # The close is above the profit, so the price has been there after the entry.
        ((100, 105, 97.5, 104.5), [(104.0, "TAKE_PROFIT")]),
    ],
)
def test_a_bracket_entered_inside_a_bar_takes_only_what_is_certain(bar, exits):
    """Entered at a limit of 98."""
    got = filled(
        account(), bars(QUIET, bar), lambda o: ask.bracket(o, 0, 0, Side.BUY, 10.0, Sizing.UNITS, **LONG, entry=98.0)
    )
    assert got[0] == (1, "BUY", 10.0, 98.0, "LIMIT", "INSIDE")
    assert [(price, reason) for _, _, _, price, reason, _ in got[1:]] == exits


def test_the_exits_of_an_entry_that_never_filled_end_with_it():
    """Cancelled by its tag; the exits say that it was for their parent."""

    def decide(row, orders):
        if row == 0:
            n = ask.bracket(orders, 0, 0, Side.BUY, 10.0, Sizing.UNITS, **LONG, entry=90.0)
            ask.tagged(orders, 1, 7)
            return n
        return ask.cancel(orders, 0, 0, 7) if row == 1 else 0

    book = account()
    run(book, bars(QUIET, QUIET, QUIET), decide)
    orders, fills, _ = logged(book)
    assert len(fills) == 0
    assert [(State(o.state).name, Reason(o.reason).name) for o in orders] == [
        ("CANCELLED", "CANCELLED"), ("CANCELLED", "PARENT"), ("CANCELLED", "PARENT"),
    ]  # fmt: skip
    assert (book.account.working, book.positions[0].orders) == (0, 0)


def test_an_entry_filled_in_parts_has_exits_as_large_as_what_is_held():
    """100 units a bar may trade: 60 of 100 bought at 100, and the loss of 97 closes what there is."""
    book = account(others=Terms(slippage=Slippage(volume_share=0.1)))
    views = bars(QUIET, QUIET, (100, 100, 96, 97), (97, 98, 96, 97), volume=600.0)
    got = filled(book, views, lambda o: ask.bracket(o, 0, 0, Side.BUY, 100.0, Sizing.UNITS, **LONG))
    # In the second bar the last 40 are bought at the open, which leaves 20 of the bar's 60 for the stop.
    assert got == [
        (1, "BUY", 60.0, 100.0, "SIGNAL", "OPEN"),
        (2, "BUY", 40.0, 100.0, "SIGNAL", "OPEN"),
        (2, "SELL", 20.0, 97.0, "STOP_LOSS", "INSIDE"),
        (3, "SELL", 60.0, 97.0, "STOP_LOSS", "OPEN"),
    ]
    assert book.positions[0].lots == 20


def test_an_entry_still_open_ends_when_its_exit_has_filled():
    """60 of 100 bought at a limit; the profit on those 60 is taken, and the other 40 are not bought any more."""
    book = account(others=Terms(slippage=Slippage(volume_share=0.1)))
    views = bars(QUIET, (100, 101, 97, 98), (104.5, 105, 104, 104.5), (98, 99, 90, 91), volume=600.0)
    got = filled(book, views, lambda o: ask.bracket(o, 0, 0, Side.BUY, 100.0, Sizing.UNITS, **LONG, entry=98.0))
    assert [entry[:4] for entry in got] == [(1, "BUY", 60.0, 98.0), (2, "SELL", 60.0, 104.5)]
    ends = {int(o.id): (State(o.state).name, Reason(o.reason).name, o.filled) for o in logged(book)[0]}
    assert ends[1] == ("CANCELLED", "OCO", 60.0)


@pytest.mark.parametrize(
    ("entry", "loss", "bar", "price"),
    [
        # The loss lies above the entry: it is passed at once, at the price of the entry.
        (98.0, 99.0, (100, 101, 97, 98.5), 98.0),
        # The low counts, though the stop entry may have come after it.
        (None, 97.0, (100, 102, 96.5, 101), 97.0),
    ],
)
def test_a_loss_that_begins_inside_a_bar_is_held_against_all_of_it(entry, loss, bar, price):
    """Entered at a limit of 98, or at a stop of 101."""

    def asked(orders):
        n = ask.bracket(orders, 0, 0, Side.BUY, 10.0, Sizing.UNITS, 110.0, loss, 98.0 if entry is None else entry)
        if entry is None:
            orders[0].kind, orders[0].stop = 2, 101.0
        return n

    got = filled(account(), bars(QUIET, bar), asked)
    assert [(row, side, fill) for row, side, _, fill, _, _ in got][1] == (1, "SELL", price)


def test_a_trail_that_begins_inside_a_bar_starts_from_its_entry():
    """The high of 105 was before or after, nobody knows: it trails 98 by 3, and then the close of 99.5."""

    def asked(orders):
        n = ask.limit(orders, 0, 0, Side.BUY, 10.0, 98.0)
        n = ask.trailing_stop(orders, n, 0, Side.SELL, 1.0, 3.0, Sizing.PARENT)
        orders[1].parent = 1
        return n

    got = filled(account(), bars(QUIET, (100, 105, 97, 99.5), (99, 99, 96.4, 97)), asked)
    assert got[1] == (2, "SELL", 10.0, 96.5, "TRAILING_STOP", "INSIDE")


def test_prices_between_two_ticks_are_moved_against_the_order():
    """To buy a limit goes down and a stop up; what slips goes to the next tick up."""

    def asked(orders):
        n = ask.limit(orders, 0, 0, Side.BUY, 1.0, 98.1)
        n = ask.stop(orders, n, 0, Side.BUY, 1.0, 101.1)
        n = ask.limit(orders, n, 0, Side.SELL, 1.0, 101.3)
        return ask.stop(orders, n, 0, Side.SELL, 1.0, 98.4)

    book = account(others=Terms(lots=Lots(tick=0.25), slippage=Slippage(bps=10)))
    run(book, bars(QUIET), once(0, asked))
    assert [o.limit for o in book.orders[[0, 2]]] == [98.0, 101.5]
    assert [o.stop for o in book.orders[[1, 3]]] == [101.25, 98.25]
    run(book, bars((100, 101.25, 100, 101), first=MINUTE), lambda *_: 0)
    [fill] = logged(book)[1]
    # 101.25 and 10 bps are 101.35.
    assert (fill.price, fill.slippage) == (101.5, 0.25)


def test_what_only_closes_neither_opens_nor_turns():
    """A sale of 20 that only closes sells the 10 there are; one with nothing to close is cancelled."""
    book = account()

    def asked(orders):
        n = ask.market(orders, 0, 0, Side.BUY, 10.0)
        return ask.only_closing(orders, ask.market(orders, n, 0, Side.SELL, 20.0))

    got = filled(book, bars(QUIET, QUIET), asked)
    assert [entry[:3] for entry in got] == [(1, "BUY", 10.0), (1, "SELL", 10.0)]

    book = account()
    assert filled(book, bars(QUIET, QUIET), lambda o: ask.close(o, 0, 0)) == []
    assert logged(book)[0][0].reason == Reason.POSITION_CLOSED


def test_an_exit_goes_with_the_position_that_it_was_for():
    """Closed by the strategy, so the stop that protected it is cancelled and sells nothing later."""

    def decide(row, orders):
        if row == 0:
            return entered(orders, then=lambda o, n: ask.stop_loss(o, n, 0, Side.SELL, 95.0))
        return ask.target(orders, 0, 0, 0.0) if row == 1 else 0

    book = account()
    run(book, bars(QUIET, QUIET, QUIET, (94, 95, 90, 91)), decide)
    orders, fills, _ = logged(book)
    assert [int(f.order) for f in fills] == [1, 3]
    stop = next(o for o in orders if o.id == 2)
    # With the position, at the open of the third bar, and not when it is reached.
    assert (Reason(stop.reason).name, stop.done_at) == ("POSITION_CLOSED", 2 * MINUTE)


def test_one_of_two_entries_cancels_the_other():
    """A breakout either way: the stop below is reached first."""

    def asked(orders):
        n = ask.stop(orders, 0, 0, Side.BUY, 10.0, 102.0)
        n = ask.stop(orders, n, 0, Side.SELL, 10.0, 98.0)
        return ask.one_cancels_other(orders, 0, n)

    book = account()
    got = filled(book, bars(QUIET, (100, 101, 98, 99), (99, 103, 99, 102)), asked)
    assert got == [(1, "SELL", 10.0, 98.0, "STOP", "INSIDE")]
    assert [Reason(o.reason).name for o in logged(book)[0]] == ["OCO", "STOP"]


def test_an_order_for_the_day_ends_with_the_session_in_which_it_could_fill():
    """Placed on a session's last close, it works for the whole next session and not after."""
    views = bars(QUIET, QUIET, QUIET, (100, 101, 90, 91))
    sessions = [MINUTE, 3 * MINUTE, 3 * MINUTE, 4 * MINUTE]
    book = account()
    run(book, views, once(0, lambda o: ask.for_the_day(o, ask.limit(o, 0, 0, Side.BUY, 1.0, 95.0))), sessions)
    [order], fills, _ = logged(book)
    assert (order.state, order.reason, order.done_at) == (State.EXPIRED, Reason.DAY_OVER, 3 * MINUTE)
    assert len(fills) == 0


def test_an_order_with_a_time_ends_before_the_bar_that_begins_then():
    """It would have filled in the third bar."""
    book = account()
    views = bars(QUIET, QUIET, (100, 101, 90, 91))
    run(book, views, once(0, lambda o: ask.until(o, ask.limit(o, 0, 0, Side.BUY, 1.0, 95.0), 2 * MINUTE)))
    [order], _, _ = logged(book)
    assert (order.state, order.reason, order.done_at) == (State.EXPIRED, Reason.TIME_OVER, 2 * MINUTE)


def test_ticks_are_bars_with_one_price():
    """A stop fills at the first tick at or beyond it, a limit at the first beyond: at what traded."""

    def asked(orders):
        n = ask.limit(orders, 0, 0, Side.BUY, 10.0, 99.0)
        return ask.stop(orders, n, 0, Side.BUY, 5.0, 101.0)

    book = account()
    views = bars(QUIET, 100, 99, 98.9, 101.2)
    got = filled(book, views, asked)
    assert [entry[:5] for entry in got] == [(3, "BUY", 10.0, 98.9, "LIMIT"), (4, "BUY", 5.0, 101.2, "STOP")]


def test_bars_that_began_before_the_decision_fill_nothing():
    """Another symbol's bar that ends later may have begun earlier: its prices were there before the order."""
    book = account(symbols=("A:X", "B:Y"))
    first = bars(QUIET, first=0, length=5 * MINUTE)
    overlapping = bars(QUIET, QUIET, symbol=1, first=3 * MINUTE, length=4 * MINUTE)
    views = [first[0], overlapping[0], overlapping[1]]
    run(book, views, once(0, lambda o: ask.market(o, 0, 1, Side.BUY, 1.0)))
    assert [int(f.row) for f in logged(book)[1]] == [2]


def test_a_market_order_may_fill_at_the_close_it_was_decided_on():
    """Where the fill rule is that; the record says that it was the close."""
    book = account(fills=Fills(at="close"))
    got = filled(book, bars((100, 102, 99, 101), QUIET), lambda o: ask.target(o, 0, 0, 1.0))
    assert got == [(0, "BUY", 99.0, 101.0, "SIGNAL", "CLOSE")]
