"""Whatever a provider answers, bars that keep the rules come of it, or an error of ours: never another exception."""

import copy
import json
from functools import cache

import numpy as np
import pytest
from contract import NOW, Desk
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.history_http import HistoryServer, Reply

from market.intervals import Interval
from market.symbols import Symbol
from sources.history.provider import ProviderError
from sources.history.providers import make_provider

MINUTE_MS = 60_000
FIRST_MS = NOW // 10**6 // MINUTE_MS * MINUTE_MS - 20 * MINUTE_MS


def _klines():
    return [[FIRST_MS + i * MINUTE_MS, "1.5", "2", "1", "1.5", "3", 0, "4.5", 2, "0", "0", "0"] for i in range(5)]


def _candles():
    return [[FIRST_MS // 1000 + i * 60, 1.0, 2.0, 1.5, 1.5, 3.0] for i in range(5, 0, -1)]


def _ohlc():
    rows = [[FIRST_MS // 1000 + i * 60, "1.5", "2", "1", "1.5", "1.5", "3", 2] for i in range(5)]
    return {"error": [], "result": {"XXBTZUSD": rows, "last": 1}}


def _okx_candles():
    rows = [[str(FIRST_MS + i * MINUTE_MS), "1.5", "2", "1", "1.5", "3", "4", "4", "1"] for i in range(5, 0, -1)]
    return {"code": "0", "msg": "", "data": rows}


def _aggregates():
    return [{"a": i, "p": "1", "q": "2", "f": i, "l": i, "T": FIRST_MS + i, "m": True, "M": True} for i in range(5)]


def _matches():
    stamp = "2026-01-07T15:30:0{}.5Z"
    return [{"time": stamp.format(i), "trade_id": i, "price": "1", "size": "2", "side": "buy"} for i in range(5, 0, -1)]


def _trades():
    rows = [["1", "2", FIRST_MS / 1000 + i / 8, "b", "l", "", i] for i in range(5)]
    return {"error": [], "result": {"XXBTZUSD": rows, "last": str(FIRST_MS * 10**6)}}


def _okx_trades():
    rows = [{"side": "buy", "sz": "1", "px": "2", "tradeId": str(i), "ts": str(FIRST_MS + i)} for i in range(5, 0, -1)]
    return {"code": "0", "msg": "", "data": rows}


ERRORS = {
    "binance": lambda: {"code": -1003, "msg": "Too many requests."},
    "coinbase": lambda: {"message": "NotFound"},
    "kraken": lambda: {"error": ["EAPI:Rate limit exceeded"]},
    "okx": lambda: {"code": "50011", "msg": "Too Many Requests", "data": []},
}
BODIES = {
    "binance": ("BTCUSDT", _klines, _aggregates),
    "coinbase": ("BTCUSD", _candles, _matches),
    "kraken": ("BTCUSD", _ohlc, _trades),
    "okx": ("BTCUSDT", _okx_candles, _okx_trades),
}

junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["", "NaN", "1e999", "-1", "\u0661", "x"]),
    st.builds(list), st.builds(dict), st.integers(10**18, 10**30), st.integers(-(10**30), -1),
)  # fmt: skip


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


@cache
def places_of(make):
    return list(places(make()))


@st.composite
def mutated(draw, make):
    """A body with some of its parts replaced, dropped or doubled."""
    body = copy.deepcopy(make())
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places_of(make)))
        if not path:
            body = draw(junk)
            continue
        *way, last = path
        try:
            part = body
            for key in way:
                part = part[key]
            change = draw(st.sampled_from(["replace", "drop", "double"]))
            if change == "replace":
                part[last] = draw(junk)
            elif change == "drop":
                del part[last]
            elif isinstance(part, list):
                part.insert(last, part[last])
        except (LookupError, TypeError):
            continue  # An earlier change took the place away.
    return json.dumps(body).encode()


@pytest.mark.parametrize("what", ["bars", "trades", "errors"])
@pytest.mark.parametrize("name", BODIES)
def test_no_answer_raises_anything_but_an_error_of_ours(name, what):
    ticker, bars, trades = BODIES[name]
    symbol, answer = Symbol(name.upper(), ticker), [Reply()]
    with HistoryServer(lambda _: answer[0]) as server:

        @settings(max_examples=settings.default.max_examples // 2)
        @given(
            mutated({"bars": bars, "trades": trades, "errors": ERRORS[name]}[what]), st.sampled_from([200, 400, 404])
        )
        def check(body, status):
            answer[0] = Reply(body, status if what == "errors" else 200)
            desk = Desk()
            desk.calls_allowed = 12
            provider = make_provider(name, desk.means, url=server.url)
            try:  # What is not ours goes through.
                if what != "trades":
                    for page in provider.fetch(symbol, Interval.M1, start=FIRST_MS * 10**6):
                        rows = page.bars
                        assert ((rows["low"] <= rows["open"]) & (rows["open"] <= rows["high"])).all()
                        assert ((rows["low"] <= rows["close"]) & (rows["close"] <= rows["high"])).all()
                        assert (rows["volume"] >= 0).all()
                        assert (rows["start"] % (MINUTE_MS * 10**6) == 0).all()
                else:
                    for page in provider.trades(symbol, FIRST_MS * 10**6, NOW):
                        assert np.isfinite(page.ticks["price"]).all()
                        assert (page.ticks["size"] >= 0).all()
            except ProviderError:
                pass
            finally:
                provider.close()

        check()
