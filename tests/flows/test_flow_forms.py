"""What the forms of the UI are drawn from and checked by: the schema that the API is given of each flow."""

import asyncio
from datetime import date
from typing import get_args

import pytest
from prefect.utilities.schema_tools import ValidationError, validate

from backtest.sweep import METRICS, Hunt
from flows import forms
from flows.deployments import deployment, table
from flows.sweep import MetricName, Search
from infra.settings import Providers
from market.intervals import NAMES
from market.symbols import Symbol

TODAY = date(2026, 11, 20)
ENTRIES = {entry.flow.name: entry for entry in table([Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")], TODAY)}


@pytest.fixture(scope="module")
def deployed():
    """What the server is told of each flow."""

    async def build():
        return {name: await deployment(entry) for name, entry in ENTRIES.items()}

    return asyncio.run(build())


def schema(one):
    return one._parameter_openapi_schema.model_dump()


def wrong(one, **changes):
    """What the server says of a form that was submitted; with the first of these it refuses to make a run."""
    given = {**one.model_dump(mode="json")["parameters"], **changes}
    try:
        # As the server does it. Without raising, more is checked than there: a date's format, for one.
        validate(given, schema(one), raise_on_error=True, preprocess=True)
    except ValidationError as error:
        return [str(error)]
    return []


def test_the_choices_are_those_of_the_desk():
    """A Literal can only be made of literals, so nothing but this keeps them together."""
    assert get_args(forms.IntervalName) == NAMES
    assert set(get_args(forms.ProviderName)) == set(Providers.model_fields)
    assert get_args(MetricName) == tuple(METRICS)
    assert get_args(Search) == get_args(Hunt.model_fields["search"].annotation)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_parameter_has_a_help_text(deployed, name):
    """It stands under the field; the Args of the flow's docstring are where it comes from."""
    for title, field in schema(deployed[name])["properties"].items():
        assert field.get("description"), f"{name}: {title} has no help"


@pytest.mark.parametrize("name", ENTRIES)
def test_every_form_works_as_it_is_filled(deployed, name):
    """A newcomer presses the button first and reads later."""
    assert wrong(deployed[name]) == []
    ENTRIES[name].flow.validate_parameters(deployed[name].model_dump(mode="json")["parameters"])


def test_choices_are_drop_downs_and_days_are_pickers(deployed):
    fields = schema(deployed["backfill"])["properties"]
    assert fields["interval"]["enum"] == list(NAMES)
    assert fields["start"]["format"] == "date"
    assert {one.get("format", one["type"]) for one in fields["end"]["anyOf"]} == {"date", "null"}
    assert fields["again"]["type"] == "boolean"
    assert {tuple(one.get("enum", ())) for one in fields["provider"]["anyOf"]} == {tuple(Providers.model_fields), ()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"interval": "7m"}, "'7m' is not one of"),
        ({"symbols": ["BTCUSD"]}, "'BTCUSD' does not match"),
        ({"symbols": "SIM:BTCUSD"}, "is not of type 'array'"),
        ({"start": None}, "is not of type 'string'"),
        ({"start": "yesterday"}, "'yesterday' does not match"),
        ({"start": "20260101"}, "'20260101' does not match"),
        ({"start": "2026-13-01"}, "'2026-13-01' does not match"),
        ({"end": "yesterday"}, "'yesterday' does not match"),
        ({"provider": "bloomberg"}, "'bloomberg' is not one of"),
    ],
)
def test_a_bad_value_is_refused_at_submit(deployed, changes, reason):
    """The server holds the form against the schema before it makes a run of it."""
    found = wrong(deployed["backfill"], **changes)
    assert any(reason in message for message in found), found


def test_no_interval_at_all_is_refused_at_submit(deployed):
    """It would be a run that does nothing."""
    assert wrong(deployed["sync-all"], intervals=[])


def test_symbols_of_a_form_are_read_as_everywhere():
    """One instrument has one name, in whatever case and spelling it was typed, and is synced once."""
    assert forms.symbols_of(["kraken:xbtusd", "KRAKEN:BTCUSD", "NASDAQ:AAPL"]) == [
        Symbol("KRAKEN", "BTCUSD"),
        Symbol("NASDAQ", "AAPL"),
    ]


def test_the_table_of_flows_is_the_one_that_was_promised(deployed):
    """Names and schedules, UTC."""
    crons = {name: [str(one.schedule.cron) for one in made.schedules] for name, made in deployed.items()}
    assert crons == {
        "sync-symbol": [],
        "sync-bulk": [],
        "sync-background": [],
        "sync-all": ["0 */6 * * *"],
        "sync-daily": ["0 9-17 * * 1-5"],
        "backfill": [],
        "heal": ["*/5 * * * *"],
        "reconcile": ["30 0 * * *"],
        "session-report": [],
        "archive": ["0 1 * * *"],
        "backup": ["0 2 * * *", "0 0,1,3-23 * * *", "2-57/5 * * * *"],
        "restore-drill": ["0 4 * * 0"],
        "corporate-actions": ["30 5 * * *"],
        "cross-check": ["30 6 * * *"],
        "watch": ["*/10 * * * *"],
        "backtest": [],
        "sweep": [],
        "walk-forward": [],
        "parity": ["30 1 * * *"],
        "nightly-backtests": [],
    }
    assert {one.schedule.timezone for made in deployed.values() for one in made.schedules} == {"UTC"}


def test_flows_are_found_by_their_module(deployed):
    """A path would be read against whatever folder the desk was started in."""
    assert {made.entrypoint.rpartition(".")[0].partition(".")[0] for made in deployed.values()} == {"flows"}
    assert not any("/" in made.entrypoint for made in deployed.values())
