"""The flow that closes a session: after an exchange's close its day is synced, and how it went is written down."""

from typing import TYPE_CHECKING

from flows import artifacts
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say, voice
from market.errors import DeskError

if TYPE_CHECKING:
    from history.session_report import Session
    from sinks.session_book import SessionReport


@part("close {exchange}")
def close_one(exchange: str, session: "Session") -> "SessionReport":
    """Sync the day of one exchange, and write its report."""
    from history.session_report import session_report as write

    say(f"{exchange}: {len(session.symbols)} symbols, the session that ended {artifacts.moment(session.end)}")
    run = means()
    return write(run.desk, session, say=voice(), stop=run.stop)


@desk_flow("session-report", lambda given: f"session report {given['exchange'] or 'of all exchanges'}")
def session_report(exchange: str = "") -> str:
    """After a close: the day synced, and what was received, lost and healed, a line a symbol.

    Runs are planned by the calendars of the exchanges whose symbols are registered, holidays and half days included.

    Args:
        exchange: Only this exchange's last session, such as NASDAQ. Empty: of each whose report is due.
    """
    from history.registry import registered
    from history.session_report import due_sessions

    wanted = exchange.strip().upper()
    with desk() as found:
        kept = sorted({symbol.exchange for symbol in registered(found)})
        if wanted and wanted not in kept:
            msg = f"no symbol of exchange {wanted} is registered; there are some of: {' '.join(kept) or 'none'}"
            raise DeskError(msg)
        due = [one for one in due_sessions(found) if wanted in {"", one.exchange}]
        done, failed = gathered({one.exchange: close_one.submit(one.exchange, one) for one in due})
    for report in done.values():
        _show(report)
    check_parts(failed, len(due))
    if not due:
        return "no report is due: the last session has one already, or there was none these days"
    errors = {str(row.symbol): row.error for report in done.values() for row in report.symbols if row.error}
    check_parts(errors, sum(len(report.symbols) for report in done.values()))
    return f"{len(done)} sessions reported: {' '.join(done)}"


def _show(report: "SessionReport") -> None:
    head = ("symbol", "minutes", "live", "partial", "trades", "held now", "gaps", "lost s", "healed s", "nobody has s")
    rows = [
        (
            str(row.symbol),
            row.expected,
            row.live,
            row.partial,
            row.trades,
            row.held,
            row.gaps,
            f"{row.lost_s:.0f}",
            f"{row.healed_s:.0f}",
            f"{row.unfillable_s:.0f}",
            row.synced,
            row.error,
        )
        for row in report.symbols
    ]
    title = f"{report.exchange}: the session from {artifacts.moment(report.start)} to {artifacts.moment(report.end)}"
    table = artifacts.table((*head, "synced bars", "sync failed because"), rows)
    artifacts.publish(f"session-{report.exchange}", f"### {title}\n\n{table}", title)
