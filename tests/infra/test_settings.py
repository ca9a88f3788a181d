"""Settings: where they come from, and what a wrong one is told."""

from pathlib import Path

import pytest

from infra.settings import load_settings
from market.errors import DeskError


def write(folder: Path, text: str) -> Path:
    path = folder / "desk.toml"
    path.write_text(text)
    return path


def test_options_beat_variables_beat_the_file(tmp_path):
    """Three layers, each over the one before; a table is merged key by key."""
    config = write(tmp_path, "grace_s = 1\nmin_free_mb = 5\nmetrics_port = 0\n[simulated]\nrate = 9\nseed = 3")
    environ = {"POCKETQUANT_MIN_FREE_MB": "6", "POCKETQUANT_METRICS_PORT": "7", "POCKETQUANT_SIMULATED__SEED": "4"}

    settings = load_settings(tmp_path, config, environ, metrics_port=8)

    assert (settings.grace_s, settings.min_free_mb, settings.metrics_port) == (1.0, 6, 8)
    assert (settings.simulated.rate, settings.simulated.seed) == (9.0, 4)


def test_the_data_folders_own_file_is_read_unless_another_is_named(tmp_path):
    (tmp_path / "pocketquant.toml").write_text("grace_s = 7")

    assert load_settings(tmp_path, environ={}).grace_s == 7.0
    assert load_settings(tmp_path, write(tmp_path, "grace_s = 8"), {}).grace_s == 8.0
    assert load_settings(None, None, {"POCKETQUANT_DATA_DIR": str(tmp_path)}).grace_s == 7.0


def test_lists_in_variables_are_words(tmp_path):
    settings = load_settings(tmp_path, None, {"POCKETQUANT_SYMBOLS": "kraken:btcusd, SIM:A"})

    assert settings.symbols == ["KRAKEN:BTCUSD", "SIM:A"]
    assert load_settings(tmp_path, None, {"POCKETQUANT_SYMBOLS": '["SIM:A"]'}).symbols == ["SIM:A"]
    assert load_settings(tmp_path, write(tmp_path, "symbols=['SIM:A']"), {"POCKETQUANT_SYMBOLS": "[]"}).symbols == []


def test_stores_are_embedded_until_an_address_is_set(tmp_path):
    assert load_settings(tmp_path, environ={}).store == str(tmp_path / "bars.sqlite")
    assert load_settings(tmp_path, environ={}).redis == f"unix://{tmp_path}/run/redis.sock"
    away = load_settings(tmp_path, None, {"MONGODB_URI": "mongodb://h/db", "REDIS_URL": "redis://h"})
    assert (away.store, away.redis) == ("mongodb://h/db", "redis://h")


@pytest.mark.parametrize(
    ("toml", "environ", "names"),
    [
        ("gracee = 1", {}, ["desk.toml", "gracee", "unknown", "grace_s"]),
        ("grace_s = 61", {}, ["desk.toml", "grace_s", "60", "61"]),
        ("grace_s = 'soon'", {}, ["desk.toml", "grace_s", "number", "'soon'"]),
        ("[tradingview]\nenabld = true", {}, ["desk.toml", "tradingview.enabld", "unknown", "enabled token"]),
        ("[paper]\nmax_loss = 5", {}, ["desk.toml", "paper.max_loss", "unknown", "max_daily_loss"]),
        ("[paper]\nmax_exposure = 0", {}, ["desk.toml", "paper.max_exposure", "greater than 0", "0"]),
        ("feeds = ['nasdaq']", {}, ["desk.toml", "feeds", "'nasdaq'", "kraken"]),
        ("feeds = ['sim', 'kraken']", {}, ["desk.toml", "feeds", "never mixed"]),
        ("symbols = ['BTC']", {}, ["desk.toml", "symbols", "'BTC'", "EXCHANGE:TICKER"]),
        ("[designated]\n'KRAKEN:BTCUSD' = 'bloomberg'", {}, ["desk.toml", "designated", "'bloomberg'", "kraken"]),
        ("[designated]\nBTC = 'kraken'", {}, ["desk.toml", "designated", "'BTC'", "EXCHANGE:TICKER"]),
        ("[okx_contracts]\n'BTC-USDT-SWAP' = 0", {}, ["desk.toml", "okx_contracts", "greater than 0"]),
        ("grace_s = = 1", {}, ["desk.toml", "not TOML"]),
        ("", {"POCKETQUANT_GRACE": "1"}, ["POCKETQUANT_GRACE ", "sets nothing", "POCKETQUANT_GRACE_S"]),
        ("", {"POCKETQUANT_GRACE_S": "x"}, ["variable POCKETQUANT_GRACE_S", "number", "'x'"]),
        ("", {"POCKETQUANT_TRADINGVIEW__TOKN": "x"}, ["POCKETQUANT_TRADINGVIEW__TOKN", "unknown"]),
        ("", {"POCKETQUANT_DESIGNATED": "{"}, ["designated", "JSON"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path, toml, environ, names):
    """File or variable, key, rule and value."""
    with pytest.raises(DeskError) as caught:
        load_settings(tmp_path, write(tmp_path, toml), environ)

    text = str(caught.value)
    assert "\n" not in text
    assert [name for name in names if name not in text] == []


def test_a_symbol_in_the_settings_has_the_desks_name(tmp_path):
    toml = "symbols = ['kraken:xbt/usd']\n[designated]\n'KRAKEN:XBTUSD' = 'kraken'"

    settings = load_settings(tmp_path, write(tmp_path, toml), {})

    assert (settings.symbols, settings.designated) == (["KRAKEN:BTCUSD"], {"KRAKEN:BTCUSD": "kraken"})


def test_a_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DeskError, match=r"none\.toml cannot be read: No such file"):
        load_settings(tmp_path, tmp_path / "none.toml", {})


def test_a_wrong_secret_is_not_repeated(tmp_path):
    with pytest.raises(DeskError) as caught:
        load_settings(tmp_path, write(tmp_path, "mongodb_uri = ['hunter22']"), {})

    assert "hunter22" not in str(caught.value)


def test_settings_print_no_secret(tmp_path):
    """A settings object ends up in logs and tracebacks sooner or later."""
    settings = load_settings(
        tmp_path, None, {"MONGODB_URI": "mongodb://u:hunter22@h", "POCKETQUANT_NOTIFY": "json://k"}
    )

    assert "hunter22" not in repr(settings)
    assert settings.secrets() == ["mongodb://u:hunter22@h", "json://k"]
