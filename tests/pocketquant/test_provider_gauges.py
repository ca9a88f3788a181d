"""The supervisor's page of metrics says how providers are and what is left of their limits."""

import pytest

from history.desk import HistoryDesk
from history.roster import breakers, quota
from infra.metrics import Metrics
from infra.settings import load_settings
from pocketquant.provider_gauges import ProviderGauges
from sources.history.provider import ProviderAway, Terms, Window


@pytest.fixture
def parts(folders):
    settings = load_settings(folders.data_dir, environ={})
    metrics, seconds = Metrics("supervisor"), [100.0]
    gauges = ProviderGauges(settings, metrics, lambda: seconds[0])
    yield settings, metrics, seconds, gauges
    gauges.close()


def shown(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"pocketquant_{name}", labels)


def test_what_was_spent_and_who_is_left_alone_is_shown(parts):
    settings, metrics, seconds, gauges = parts
    gauges.update()
    assert shown(metrics, "provider_up", provider="okx") is None
    assert not settings.folders.history.exists()
    with HistoryDesk(settings) as desk:
        ask = quota(desk).door("binance", Terms(frozenset(), 1, windows=(Window(60, 6000),)), print)
        ask(2)
        ask(2)
        for _ in range(5):
            breakers(desk).failed("okx", ProviderAway("okx does not answer"))
        gauges.update()
        assert shown(metrics, "provider_up", provider="okx") is None, "read again after five seconds only"
        seconds[0] += 5
        gauges.update()

    assert shown(metrics, "provider_up", provider="okx") == 0
    assert shown(metrics, "provider_up", provider="binance") == 1
    assert shown(metrics, "provider_up", provider="massive") is None
    assert shown(metrics, "provider_calls_today", provider="binance") == 2
    assert shown(metrics, "provider_left", provider="binance", limit="6,000 a minute") == 5996


def test_a_damaged_book_stops_no_desk(parts):
    settings, metrics, _, gauges = parts
    settings.folders.history.write_bytes(b"this is no book " * 1000)
    gauges.update()

    assert shown(metrics, "provider_up", provider="okx") is None
