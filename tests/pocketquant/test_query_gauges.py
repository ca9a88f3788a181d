"""The supervisor's page of metrics says how often Redis had kept an answer."""

import math

import pytest
from servers.redis_server import RedisServer, redis_server

from infra.metrics import Metrics
from infra.settings import load_settings
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant.query_gauges import QueryGauges
from sinks.bar_store import open_store
from sinks.query_cache import QueryCache

__all__ = ["redis_server"]

BTC = Symbol("SIM", "BTCUSD")


@pytest.fixture
def parts(folders, redis_server: RedisServer):
    settings = load_settings(folders.data_dir, environ={"REDIS_URL": redis_server.url})
    metrics, seconds = Metrics("supervisor"), [100.0]
    gauges = QueryGauges(settings, metrics, lambda: seconds[0])
    yield settings, metrics, seconds
    gauges.close()


def shown(metrics):
    value = metrics.registry.get_sample_value
    counts = [value("pocketquant_bar_queries", {"result": result}) for result in ("hit", "miss")]
    return [*counts, value("pocketquant_bar_query_hit_ratio")]


def test_hits_and_misses_and_their_share_are_shown(parts, redis_server: RedisServer, fill):
    settings, metrics, seconds = parts
    redis_server.start()
    fill.bars([fill.bar(0)])
    cache, store = QueryCache(settings.redis, settings.store), open_store(settings.store)
    assert shown(metrics)[:2] == [0, 0]
    assert math.isnan(shown(metrics)[2])
    for _ in range(4):
        cache.read(lambda: store.read(BTC, Interval.M1), BTC, Interval.M1)
    cache.close()
    store.close()
    seconds[0] += 1

    assert shown(metrics) == [3, 1, 0.75]


def test_without_redis_the_page_is_served_all_the_same(parts):
    _, metrics, _ = parts
    assert shown(metrics)[:2] == [0, 0]
