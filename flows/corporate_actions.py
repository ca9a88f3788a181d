"""The flow of splits and dividends, which are events of their own: bars are stored as they traded."""

from collections.abc import Sequence
from typing import Any

from flows import artifacts
from flows.forms import ProviderName, SymbolText, symbols_of, whose
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say


@part("actions of {symbol}")
def fetch_one(symbol: str, provider: str | None) -> Any:
    """Ask for the actions of one share."""
    from history.actions import fetch
    from market.errors import DeskError

    (told,) = fetch(means().desk, symbols_of([symbol]), provider)
    if told.error:
        raise DeskError(told.error)
    say(f"{symbol}: {told.noted} from {told.provider}")
    return told


@desk_flow("corporate-actions", lambda given: f"corporate actions of {whose(given)}")
def corporate_actions(symbols: Sequence[SymbolText] = (), provider: ProviderName | None = None) -> str:
    """Splits and dividends of shares, for reads that adjust by them. Stored prices stay as they traded.

    Args:
        symbols: EXCHANGE:TICKER each. None at all: every registered share.
        provider: Ask this one only. None: those that have them, in order, until one tells.
    """
    from history.actions import shares

    with desk() as found:
        wanted = [str(one) for one in (symbols_of(symbols) if symbols else shares(found))]
        done, failed = gathered({symbol: fetch_one.submit(symbol, provider) for symbol in wanted})
    if not wanted:
        return "no share is registered"
    rows: list[tuple[Any, ...]] = [(name, told.provider, *told.noted, "") for name, told in done.items()]
    fields = next((told.noted._fields for told in done.values()), ())
    rows += [(name, "", *("" for _ in fields), why) for name, why in failed.items()]
    head = ("symbol", "from", *fields, "failed because")
    artifacts.publish("corporate-actions", artifacts.table(head, rows), f"{len(done)} of {len(wanted)} shares")
    check_parts(failed, len(wanted))
    return f"{len(done)} shares looked up"
