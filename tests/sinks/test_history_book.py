"""The file of history's books where nothing can be written."""

from market.intervals import Interval
from market.symbols import Symbol
from sinks.actions_book import ActionsBook
from sinks.ledger_file import LedgerFile
from sinks.registry_book import RegistryBook
from sinks.sync_book import SyncBook, Task

BTC = Symbol("KRAKEN", "BTCUSD")


def test_a_book_that_was_never_opened_is_empty_on_a_read_only_disk(tmp_path, monkeypatch):
    """A command that reads says what there is, and not that a table is missing."""
    path = tmp_path / "history.sqlite"
    with SyncBook(path) as book:
        book.ask(Task.SYNC, [BTC], Interval.D1, 1)
    monkeypatch.setattr(LedgerFile, "_open", LedgerFile._open_to_read)

    with ActionsBook(path) as actions:
        assert (actions.actions(), actions.asked()) == ([], {})
    with RegistryBook(path) as registry:
        assert (registry.instruments(), registry.universes()) == ([], [])
    with SyncBook(path) as book:
        assert [one.symbol for one in book.statuses(2)] == [BTC]
