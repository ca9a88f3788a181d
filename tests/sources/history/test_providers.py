"""The list of providers: what each wants, and that looking at it costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from market.errors import DeskError
from sources.history.provider import Means, NoKey, Terms
from sources.history.providers import PROVIDERS, make_provider, missing, terms_of

MEANS = Means(now_ns=lambda: 0, sleep=lambda _: None, ask=lambda weight=1: None)
PAGE = Path(__file__).parents[3] / "docs" / "providers.md"


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_page_of_providers_has_its_intervals_its_caps_and_what_it_wants(name):
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"docs/providers.md has one row of {name}"
    _, _, _, wants, intervals, allows, trades, _ = (cell.strip() for cell in rows[0])
    terms = terms_of(name)

    assert intervals.split() == [str(interval) for interval in sorted(terms.intervals)]
    figures = [window.limit for window in terms.windows if window.limit < 5_000 or name == "binance"]
    figures += [terms.max_bars] if terms.max_bars else []
    assert all(f"{figure:,}" in allows for figure in figures)
    assert all(f"`{want}`" in wants for want in PROVIDERS[name].wants if want != "url")
    assert (trades == "no") != terms.has_trades


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_of_the_list_says_what_it_has(name):
    terms = terms_of(name)

    assert isinstance(terms, Terms)
    assert terms.intervals
    assert terms.page_bars > 0
    assert terms.per_second > 0
    assert all(window.limit > 0 and window.seconds > 0 for window in terms.windows)


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_can_be_made_with_what_it_wants_and_lets_go(name):
    """None calls anyone before it is asked for bars: there is no network here."""
    listing = PROVIDERS[name]
    given = {"key": "k", "secret": "s", "url": "http://127.0.0.1:1"}
    provider = make_provider(name, MEANS, **{want: given[want] for want in listing.wants})
    provider.close()

    assert (provider.name, provider.terms) == (name, terms_of(name))


def test_terms_are_read_without_the_libraries_that_call():
    """A command that only shows providers would wait a second for HTTP, WebSockets and pandas."""
    names = " ".join(PROVIDERS)
    script = f"""
import sys
from sources.history.providers import terms_of
assert not any(name.startswith("sources.history.") and name.count(".") == 2 and name.split(".")[2] not in
               ("provider", "providers") for name in sys.modules)
for name in "{names}".split():
    terms_of(name)
heavy = {{"httpx", "stamina", "websockets", "yfinance", "pandas", "polars", "exchange_calendars"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr


def test_a_provider_without_its_key_is_never_made_and_the_variable_is_named():
    with pytest.raises(
        NoKey, match=r"alpaca is unavailable: no POCKETQUANT_PROVIDERS__ALPACA__KEY and no .*ALPACA__SECRET"
    ):
        make_provider("alpaca", MEANS)
    with pytest.raises(NoKey, match="no POCKETQUANT_PROVIDERS__ALPACA__SECRET;"):
        make_provider("alpaca", MEANS, key="k")
    assert missing("massive") == "no POCKETQUANT_PROVIDERS__MASSIVE__KEY"
    assert missing("binance") is None
    assert missing("simulated", url="http://127.0.0.1:1") is None


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr("sources.history.providers.find_spec", lambda _: None)

    assert missing("yfinance") == "no package yfinance: install pocketquant[yahoo]"


def test_a_name_that_is_no_providers_and_a_key_that_is_none_are_told():
    with pytest.raises(DeskError, match="provider 'binnance' is none of simulated binance"):
        make_provider("binnance", MEANS)
    with pytest.raises(DeskError, match="key of provider massive holds characters that no key has"):
        make_provider("massive", MEANS, key="abc\n")
