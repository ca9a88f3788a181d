"""The contract of providers of corporate actions: subclass it, write the venue's bodies, and its tests run."""

# ruff: noqa: D102  # A test's name is its claim.

from datetime import date

import pytest
from contract import NOW, Desk
from servers.history_http import HistoryServer, Reply

from market.actions import dividend, split
from market.symbols import Symbol
from sources.history.actions import ACTIONS_PROVIDERS, make_actions_provider
from sources.history.provider import BadAnswer, KeyRefused, NotOffered, ProviderAway, QuotaSpent

SHARE = Symbol("NYSE", "BRK.B")
YEARS = (date(2020, 1, 1), date(2026, 1, 1))


class ActionsContract:
    """A venue with two splits and three dividends of BRK.B, two of which are of one day."""

    provider: str
    """Its name."""
    settings: dict[str, str] = {}  # noqa: RUF012  # Overridden as a whole, never changed.
    currency = ""
    """What it says of a dividend's currency."""

    def respond(self, asked):
        """Answer a call with what the venue has.

        4 for 1 on 2020-08-31, 1 for 10 on 2023-05-04; 0.125 on 2023-05-05; 2 and 0.25 on 2024-02-09, of which the
        latter is a special one; and things that are no actions of ours.
        """
        raise NotImplementedError

    def broken(self, asked):
        """Answer a call with a split that cannot be read among good ones."""
        raise NotImplementedError

    @pytest.fixture
    def desk(self):
        return Desk()

    def told(self, respond, desk, start=YEARS[0], end=YEARS[1], symbol=SHARE):
        with HistoryServer(respond) as server:
            provider = make_actions_provider(self.provider, desk.means, url=server.url, **self.settings)
            found = list(provider.actions(symbol, start, end))
            provider.close()
            provider.close()
        assert len(server.calls) == len(desk.weights), "each call was asked for"
        return found

    @property
    def wanted(self):
        return [
            split(SHARE, date(2020, 8, 31), 4.0, self.provider),
            split(SHARE, date(2023, 5, 4), 0.1, self.provider),
            dividend(SHARE, date(2023, 5, 5), 0.125, self.currency, self.provider),
            dividend(SHARE, date(2024, 2, 9), 2.25, self.currency, self.provider),
        ]

    def test_splits_and_dividends_come_by_date_as_they_were(self, desk):
        assert self.told(self.respond, desk) == self.wanted

    def test_the_first_day_is_in_the_span_and_the_last_is_not(self, desk):
        assert self.told(self.respond, desk, date(2023, 5, 4), date(2024, 2, 9)) == self.wanted[1:3]

    def test_nothing_is_called_before_the_first_action_is_wanted(self, desk):
        with HistoryServer(self.respond) as server:
            provider = make_actions_provider(self.provider, desk.means, url=server.url, **self.settings)
            provider.actions(SHARE, *YEARS)
            assert server.calls == []
            provider.close()

    def test_an_action_that_cannot_be_read_spoils_the_answer(self, desk):
        """Without it prices would be adjusted wrongly, and nothing would tell."""
        with pytest.raises(BadAnswer, match=f"{self.provider} answers with an action that cannot be read"):
            self.told(self.broken, desk)

    def test_other_classes_are_not_offered_and_not_asked_for(self, desk):
        for name in (("KRAKEN", "BTCUSD"), ("SIM", "BTCUSD"), ("LSE", "VOD"), ("SP", "SPX")):
            with pytest.raises(NotOffered, match=f"stocks of US exchanges only, and {name[0]}:{name[1]} is none"):
                self.told(self.respond, desk, symbol=Symbol(*name))
        assert desk.weights == []

    def test_trouble_is_told_as_for_bars(self, desk):
        for reply, error in (
            (Reply(b"down", 500), ProviderAway),
            (Reply({"message": "no"}, 401), KeyRefused),
            (Reply(b"", 429, {"Retry-After": "600"}), QuotaSpent),
            (Reply({"surprise": 1}), BadAnswer),
            (Reply([7]), BadAnswer),
        ):
            with pytest.raises(error, match=self.provider):
                self.told(lambda _, reply=reply: reply, Desk())

    def test_a_quota_that_is_spent_makes_no_call(self, desk):
        desk.calls_allowed = 0
        with HistoryServer(self.respond) as server:
            provider = make_actions_provider(self.provider, desk.means, url=server.url, **self.settings)
            with pytest.raises(QuotaSpent) as told:
                list(provider.actions(SHARE, *YEARS))
        assert server.calls == []
        assert told.value.until_ns > NOW

    def test_it_is_listed(self):
        assert self.provider in ACTIONS_PROVIDERS
