"""Whatever a keyed provider answers, what comes of it is bars, actions or one of our own errors: never a traceback."""

import copy
import json
from datetime import date

import pytest
from contract import NOW, Desk
from hypothesis import given, settings
from hypothesis import strategies as st

from market.intervals import Interval
from market.symbols import Symbol
from sources.history.actions import make_actions_provider
from sources.history.http_caller import Answer
from sources.history.provider import ProviderError
from sources.history.providers import make_provider
from sources.history.tradingview_chart import ChartSession, Series

AAPL = Symbol("NASDAQ", "AAPL")
S = 10**9
BAR = {"o": 1, "h": "2.5", "l": "0.5", "c": 1, "v": 10, "n": 3, "vw": "1.1"}
AV = {"1. open": "1", "2. high": "2", "3. low": "0.5", "4. close": "1", "5. volume": "10"}
BARS = {
    "alpaca": (
        Interval.M1,
        {"bars": {"AAPL": [{**BAR, "t": "2026-01-07T14:31:00Z"}, {**BAR, "t": "2026-01-07T14:32:00Z"}]}},
    ),
    "massive": (
        Interval.D1,
        {"status": "OK", "adjusted": False, "results": [{**BAR, "t": 1767589200000}, {**BAR, "t": 1767675600000}]},
    ),
    "tradier": (
        Interval.M5,
        {
            "series": {
                "data": [
                    {"time": "2026-01-07T09:35:00", "timestamp": 1767796500, "open": 1, "high": 2, "low": 1, "close": 1,
                     "volume": 5, "vwap": 1},
                ]
            }
        },
    ),
    "alpha_vantage": (Interval.D1, {"Time Series (Daily)": {"2026-01-05": AV, "2026-01-06": AV}}),
}  # fmt: skip
ACTIONS = {
    "massive": {
        "status": "OK",
        "results": [
            {"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4,
             "ex_dividend_date": "2020-08-07", "cash_amount": "0.82", "currency": "USD"},
        ],
    },
    "alpaca": {
        "corporate_actions": {
            "forward_splits": [{"symbol": "AAPL", "ex_date": "2020-08-31", "new_rate": 4, "old_rate": 1}],
            "cash_dividends": [{"symbol": "AAPL", "ex_date": "2020-08-07", "rate": "0.82"}],
        },
        "next_page_token": None,
    },
    "alpha_vantage": {
        "data": [
            {"effective_date": "2020-08-31", "split_factor": "4", "ex_dividend_date": "2020-08-07", "amount": "0.82"}
        ]
    },
}  # fmt: skip

numbers = st.sampled_from([0, -1, 1, 2**63, -(2**70), 10**400, 1e308, float("nan"), float("inf")])
texts = st.sampled_from(["", "NaN", "1e999", "-0.5", "2026-13-45", "9999-12-31", "0001-01-01", "AAPL", "x" * 300, "٣"])
strange = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    texts,
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [[]]),
    st.builds(lambda: {"AAPL": None}),
)


def places(value, path=()):
    """Paths to every part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


@st.composite
def mutations(draw, body):
    """The body with one to three of its parts replaced, left out or, of a key, renamed."""
    value = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        if not path:
            return draw(strange)
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "replace", "drop", "rename"]))
        if how == "drop":
            del holder[path[-1]]
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(path[-1])
        else:
            holder[path[-1]] = draw(strange)
    return value


class Caller:
    """Gives the same answer to every call, without a wire."""

    def __init__(self, value):
        self.value = value

    def get(self, path, params=None, *, weight=1):
        """The answer."""
        return Answer(path=path, status=200, headers={}, body=b"", value=self.value, now_ns=NOW)

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize("name", BARS)
def test_a_mutated_page_of_bars_gives_bars_or_an_error_of_ours(name):
    """Any part of it may be missing, of another type, or out of all range."""
    interval, body = BARS[name]
    provider = make_provider(name, Desk().means, key="k", secret="s")
    provider._caller.close()
    provider._caller = Caller(body)
    assert sum(len(page.bars) for page in provider.fetch(AAPL, interval, start=NOW - 5 * 86_400 * S))

    @settings(max_examples=150)
    @given(mutations(body))
    def check(value):
        provider._caller = Caller(value)
        try:
            for page in provider.fetch(AAPL, interval, start=NOW - 5 * 86_400 * S):
                assert all(bar["low"] <= bar["open"] <= bar["high"] for bar in page.bars)
        except ProviderError as error:
            assert name in str(error)  # noqa: PT017  # There may be none.

    check()


@pytest.mark.parametrize("name", ACTIONS)
def test_mutated_actions_are_actions_or_an_error_of_ours(name):
    provider = make_actions_provider(name, Desk().means, key="k", secret="s")
    provider._caller.close()
    provider._caller = Caller(ACTIONS[name])
    span = (date(2020, 1, 1), date(2026, 1, 1))
    assert len(list(provider.actions(AAPL, *span))) == 2

    @settings(max_examples=150)
    @given(mutations(ACTIONS[name]))
    def check(value):
        provider._caller = Caller(value)
        try:
            assert all(action.value > 0 for action in provider.actions(AAPL, *span))
        except ProviderError as error:
            assert name in str(error)  # noqa: PT017  # There may be none.

    check()


UPDATE = {
    "m": "timescale_update",
    "p": ["cs_pocketquants", {"sds_1": {"s": [{"i": 0, "v": [1.0, 2, 3, 4, 5, 6]}], "t": "s0"}}],
    "t_ms": 1767800497000,
}
COMPLETED = {
    "m": "series_completed",
    "p": ["cs_pocketquants", "sds_1", "delayed_streaming_900", "s0", {"data_completed": "limit"}],
}
RESOLVED = {"m": "symbol_resolved", "p": ["cs_pocketquants", "sds_sym_1", {"volume_type": "base"}]}


@given(st.sampled_from([UPDATE, COMPLETED, RESOLVED]).flatmap(mutations))
def test_a_mutated_message_of_a_chart_is_read_or_refused(message):
    """The rows of it are checked as all rows are; what is not about our series is passed over."""
    session, series = ChartSession("ws://127.0.0.1:9", "x", lambda: NOW), Series()
    try:
        payload = json.dumps(message)
    except ValueError:
        return  # A number of four hundred digits cannot be written.
    try:
        session._take(payload, series, "1", "={}")
    except ProviderError as error:
        assert "tradingview" in str(error)  # noqa: PT017  # As above.
