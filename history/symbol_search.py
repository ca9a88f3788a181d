"""Search for symbols at TradingView, where the settings allow it: asked of the quota as any call is."""

from typing import TYPE_CHECKING

from history.registry import Found
from history.roster import Listed, roster
from market.errors import DeskError
from sources.history.provider import Means

if TYPE_CHECKING:
    from history.desk import HistoryDesk


def search_tradingview(desk: "HistoryDesk", text: str, *, limit: int = 50, url: str | None = None) -> list[Found]:
    """Instruments whose ticker or description matches, best first.

    Args:
        desk: Whose settings and quota.
        text: What to look for.
        limit: At most so many.
        url: Another address of the search; the provider's own setting is the charts' socket.

    Raises:
        DeskError: TradingView is off, or does not answer.
    """
    from sources.history.tradingview_search import search

    listed = Listed("tradingview", desk)
    if listed.missing:
        msg = (
            "the search asks TradingView, which is off: its terms forbid redistribution; if you accept them, set "
            "POCKETQUANT_PROVIDERS__TRADINGVIEW__ENABLED=true"
        )
        raise DeskError(msg)
    door = roster(desk).quota.door("tradingview", listed.terms, lambda _: None)
    means = Means(desk.now_ns, desk.sleep, door, door.spent)
    return [
        Found(one.symbol, "", one.description, one.kind, "tradingview")
        for one in search(text, means, limit=limit, url=url)
    ]
