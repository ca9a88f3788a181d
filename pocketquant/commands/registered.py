"""What the commands of `pq symbols` share."""

from typing import TYPE_CHECKING, Any

import click

from market.symbols import Symbol

if TYPE_CHECKING:
    from infra.settings import Settings
    from sinks.registry_book import Instrument


def desk_of(desk: dict[str, Any]) -> dict[str, Any]:
    """The desk's options, those given before the subcommand filling in."""
    above: dict[str, Any] = click.get_current_context().obj or {}
    return {name: above.get(name) if value is None else value for name, value in desk.items()}


def registered_instruments(settings: "Settings", universe: str | None = None) -> dict[Symbol, "Instrument"]:
    """Instruments by symbol; of one universe only if it is named.

    Raises:
        click.UsageError: There is no such universe.
    """
    if not settings.folders.history.is_file() and universe is None:
        return {}
    from sinks.registry_book import RegistryBook

    with RegistryBook(settings.folders.history) as book:
        found = {one.symbol: one for one in book.instruments(universe)}
        if universe is not None and not found:
            known = " ".join(name for name, _ in book.universes()) or "none"
            msg = f"no universe {universe!r}; there are: {known}"
            raise click.UsageError(msg)
    return found
