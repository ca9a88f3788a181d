"""Providers of corporate actions, against models of their protocols and bodies of their clients' own tests.

Source of the models: the pages that each provider's file names.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

import json
from datetime import date
from urllib.parse import urlencode

import pytest
from actions_contract import YEARS, ActionsContract
from contract import Desk
from servers.history_http import HistoryServer, Reply

from market.actions import dividend, split
from market.symbols import Symbol
from sources.history.actions import make_actions_provider
from sources.history.provider import NoKey


class TestMassiveActions(ActionsContract):
    """Two questions, filtered by the server, a page of two rows at a time."""

    provider = "massive"
    settings = {"key": "MS-key"}  # noqa: RUF012
    currency = "USD"
    splits = (
        {"execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "BRK.B", "id": "1"},
        {"execution_date": "2022-07-18", "split_from": 1, "split_to": 20, "ticker": "GOOGL", "id": "2"},
        {"execution_date": "2023-05-04", "split_from": 10, "split_to": 1, "ticker": "BRK.B", "id": "3"},
    )
    dividends = (
        {"cash_amount": 0.125, "currency": "USD", "dividend_type": "CD", "ex_dividend_date": "2023-05-05", "id": "4"},
        {"cash_amount": 2, "currency": "USD", "dividend_type": "CD", "ex_dividend_date": "2024-02-09", "id": "5"},
        {"cash_amount": 0.25, "currency": "USD", "dividend_type": "SC", "ex_dividend_date": "2024-02-09", "id": "6"},
        {"cash_amount": 0.0, "currency": "USD", "dividend_type": "CD", "ex_dividend_date": "2024-05-09", "id": "7"},
    )

    def respond(self, asked):
        return self.answer(asked, self.splits)

    def broken(self, asked):
        return self.answer(asked, ({**self.splits[0], "split_from": 0}, *self.splits[1:]))

    def answer(self, asked, splits):
        assert asked.headers["Authorization"] == "Bearer MS-key"
        what = asked.path.removeprefix("/v3/reference/")
        field = {"splits": "execution_date", "dividends": "ex_dividend_date"}[what]
        params = asked.params
        assert params["ticker"] == "BRK.B"
        rows = splits if what == "splits" else [{**row, "ticker": "BRK.B"} for row in self.dividends]
        rows = [row for row in rows if params[f"{field}.gte"] <= row[field] < params[f"{field}.lt"]]
        place = int(params.get("cursor", 0))
        told = {"status": "OK", "request_id": "x", "results": rows[place : place + 2]}
        if place + 2 < len(rows):
            told["next_url"] = f"https://elsewhere.example{asked.path}?{urlencode({**params, 'cursor': place + 2})}"
        return told


class TestAlpacaActions(ActionsContract):
    """One question for all kinds, by the day on which they are processed, in pages by token."""

    provider = "alpaca"
    settings = {"key": "AK-id", "secret": "AK-secret"}  # noqa: RUF012
    kinds = (
        ("forward_splits", {"ex_date": "2020-08-31", "process_date": "2020-08-31", "new_rate": 4, "old_rate": 1}),
        ("reverse_splits", {"ex_date": "2023-05-04", "process_date": "2023-05-04", "new_rate": 1, "old_rate": 10}),
        ("cash_dividends", {"ex_date": "2023-05-05", "process_date": "2023-05-19", "rate": 0.125, "special": False}),
        ("cash_dividends", {"ex_date": "2024-02-09", "process_date": "2024-03-01", "rate": 2, "special": False}),
        ("cash_dividends", {"ex_date": "2024-02-09", "process_date": "2024-03-01", "rate": 0.25, "special": True}),
        ("spin_offs", {"ex_date": "2024-04-01", "process_date": "2024-04-01", "source_rate": 1, "new_rate": 0.5}),
    )

    def respond(self, asked):
        return self.answer(asked, self.kinds)

    def broken(self, asked):
        return self.answer(asked, (("forward_splits", {**self.kinds[0][1], "ex_date": None}), *self.kinds[1:]))

    def answer(self, asked, kinds):
        assert asked.path == "/v1/corporate-actions"
        params = asked.params
        assert params["symbols"] == "BRK.B"
        assert params["types"] == "forward_split,reverse_split,stock_dividend,cash_dividend"
        inside = [one for one in kinds if params["start"] <= one[1]["process_date"] <= params["end"]]
        place = int(params.get("page_token", 0))
        groups = {}
        for kind, row in inside[place : place + 2]:
            groups.setdefault(kind, []).append({**row, "symbol": "BRK.B", "id": f"{kind}{row['ex_date']}"})
        token = str(place + 2) if place + 2 < len(inside) else None
        return {"corporate_actions": groups, "next_page_token": token}


class TestAlphaVantageActions(ActionsContract):
    """Two questions, each with all there is, as texts."""

    provider = "alpha_vantage"
    settings = {"key": "AVKEY"}  # noqa: RUF012
    splits = (
        {"effective_date": "2023-05-04", "split_factor": "0.1000"},
        {"effective_date": "2020-08-31", "split_factor": "4.0000"},
    )

    def respond(self, asked):
        return self.answer(asked, self.splits)

    def broken(self, asked):
        return self.answer(asked, ({"effective_date": "2023-05-04", "split_factor": "four"}, *self.splits))

    def answer(self, asked, splits):
        assert asked.params["symbol"] == "BRK-B"
        if asked.params["function"] == "SPLITS":
            return {"symbol": "BRK-B", "data": list(splits)}
        assert asked.params["function"] == "DIVIDENDS"
        days = [("2024-02-09", "2"), ("2024-02-09", "0.25"), ("2023-05-05", "0.125"), ("None", "0.5")]
        return {"symbol": "BRK-B", "data": [{"ex_dividend_date": day, "amount": amount} for day, amount in days]}


def test_the_bodies_of_massives_client_are_read(recorded):
    """A split of GOOGL among those of others, and a reverse one; the dividends of CSSEN name no currency."""
    folder = recorded / "polygon"
    bodies = {
        "splits": json.loads((folder / "v3_reference_splits.json").read_text()),
        "dividends": json.loads((folder / "v3_reference_dividends.json").read_text()),
    }
    told = {}
    with HistoryServer(lambda asked: bodies[asked.path.rsplit("/", 1)[1]]) as server:
        provider = make_actions_provider("massive", Desk().means, key="x", url=server.url)
        for name in ("NASDAQ:GOOGL", "NYSE:BRW", "NASDAQ:CSSEN"):
            symbol = Symbol(*name.split(":"))
            told[name] = list(provider.actions(symbol, date(2022, 1, 1), date(2025, 1, 1)))

    googl, brw, cssen = (Symbol(*name.split(":")) for name in told)
    assert told["NASDAQ:GOOGL"] == [split(googl, date(2022, 7, 18), 20.0, "massive")]
    assert told["NYSE:BRW"] == [split(brw, date(2022, 5, 20), 0.5, "massive")]
    assert told["NASDAQ:CSSEN"] == [
        dividend(cssen, date.fromisoformat(day), 0.59375, "", "massive")
        for day in ("2023-09-14", "2023-12-14", "2024-03-14", "2024-06-13", "2024-09-12", "2024-12-12")
    ]


def test_a_dividend_in_shares_is_a_split():
    """Five new shares for each hundred: 1.05 after it for each one before."""
    row = {"symbol": "AAPL", "ex_date": "2023-05-19", "process_date": "2023-05-24", "rate": 0.05}
    body = {"corporate_actions": {"stock_dividends": [row]}, "next_page_token": None}
    share = Symbol("NASDAQ", "AAPL")
    with HistoryServer(lambda _: body) as server:
        provider = make_actions_provider("alpaca", Desk().means, key="x", secret="y", url=server.url)
        assert list(provider.actions(share, *YEARS)) == [split(share, date(2023, 5, 19), 1.05, "alpaca")]


def test_a_payment_long_after_the_ex_date_is_found():
    """Alpaca is asked by the day of the payment, which may be the year after."""
    asked = []
    row = {"symbol": "AAPL", "ex_date": "2025-12-31", "process_date": "2026-10-15", "rate": 1.0}
    body = {"corporate_actions": {"cash_dividends": [row]}, "next_page_token": None}
    share = Symbol("NASDAQ", "AAPL")
    with HistoryServer(lambda one: asked.append(one) or body) as server:
        provider = make_actions_provider("alpaca", Desk().means, key="x", secret="y", url=server.url)
        assert len(list(provider.actions(share, *YEARS))) == 1
    assert asked[0].params["end"] >= "2026-10-15"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("massive", "MASSIVE__KEY"), ("alpaca", "ALPACA__KEY"), ("alpha_vantage", "ALPHA_VANTAGE__KEY")],
)
def test_without_a_key_the_variable_is_named(name, variable):
    with pytest.raises(NoKey, match=f"{name} needs POCKETQUANT_PROVIDERS__{variable}, which is not set"):
        make_actions_provider(name, Desk().means)


def test_pages_that_come_again_end_and_double_nothing():
    """A server that forgets where it was must not pay a dividend twice, nor keep us for ever."""
    row = {"symbol": "AAPL", "ex_date": "2023-05-19", "process_date": "2023-05-24", "rate": 0.5}
    body = {"corporate_actions": {"cash_dividends": [row]}, "next_page_token": "again"}
    done = {**body, "next_page_token": None}
    share = Symbol("NASDAQ", "AAPL")
    bodies = [done, body, body]
    with HistoryServer(lambda _: Reply(bodies.pop())) as server:
        provider = make_actions_provider("alpaca", Desk().means, key="x", secret="y", url=server.url)
        assert [one.amount for one in provider.actions(share, *YEARS)] == [0.5]
