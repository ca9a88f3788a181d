"""A small desk that trades on paper: a real journal, store, ledger and book, and the real dataflows between them."""

import threading
from datetime import timedelta
from pathlib import Path

import numpy as np

from dataflows.bars.progress import Progress as BarsProgress
from dataflows.bars.running import Bench as BarsBench
from dataflows.bars.running import make_bars
from dataflows.paper import running
from dataflows.paper.progress import Progress
from dataflows.recovery import Recovery
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import parse_symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, TICK, MarkKind
from sinks.bar_store import open_store
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.paper_book import open_paper_book
from strategies.loader.files import find, load
from strategies.loader.parameters import as_text
from trading.assumptions.lots import Lots
from trading.opening import Conditions, Terms
from trading.plan import Plan

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_699_999_200 * SECOND
"""14 November 2023, 22:00 UTC."""
GRACE = 2 * SECOND
SYMBOLS = ("SIM:BTCUSD", "SIM:ETHUSD")


class PaperDesk:
    """Everything of one data folder, run in this process."""

    def __init__(self, folder: Path, symbols=SYMBOLS, loops: Path | None = None, store: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = folder / "journal"
        self.loops = loops or folder / "loops"
        self.now = BEGIN
        self.writer = JournalWriter(self.journal, lambda: self.now, checkpoint_s=60)
        self.ledger = Ledger(folder / "desk.sqlite")
        self.store = open_store(store or folder / "bars.sqlite")
        self.book = open_paper_book(store or folder / "bars.sqlite", folder / "paper.sqlite")
        self.stop = threading.Event()
        self.progress = Progress()
        self.reports = []
        self.told = []
        self.recovery = folder / "recovery-paper"
        self.symbols = symbols
        self.streams = {}
        self.prices = {}
        for place, symbol in enumerate(symbols):
            self.subscribe(symbol, 100.0 * (place + 1))

    # The market

    def subscribe(self, symbol: str, price: float = 100.0, feed: str = "sim") -> int:
        """A stream that makes the bars of a symbol."""
        stream = self.writer.stream(feed, parse_symbol(symbol), FeedKind.TRADES, 0)
        self.mark(MarkKind.DESIGNATED, stream.id)
        self.mark(MarkKind.SUBSCRIBED, stream.id, ALWAYS, self.now)
        self.streams[symbol] = stream.id
        self.prices.setdefault(symbol, price)
        return stream.id

    def mark(self, kind: MarkKind, stream: int = ALL_STREAMS, start: int = 0, end: int = 0) -> int:
        """Journal a mark of now."""
        rows = np.zeros(1, MARK)
        rows["time"], rows["start"], rows["end"], rows["kind"], rows["stream"] = self.now, start, end, kind, stream
        return self.writer.append(RowKind.MARKS, 0, rows)

    def clock(self, time: int) -> int:
        """Journal that time has passed."""
        self.now = max(self.now, time)
        return self.mark(MarkKind.CLOCK, ALL_STREAMS, self.now, self.now)

    def tick(self, symbol: str, price: float, time: int, *, event: int | None = None, size: float = 1.0) -> int:
        """Journal one tick, received at a time; its row."""
        self.now = max(self.now, time)
        rows = np.zeros(1, TICK)
        rows["event_time"] = self.now if event is None else event
        rows["received_time"] = self.now
        rows["price"], rows["size"], rows["trade_id"], rows["count"] = price, size, -1, 1
        rows["stream"] = self.streams[symbol]
        self.prices[symbol] = price
        return self.writer.append(RowKind.TICKS, 0, rows)

    def walk(self, minutes: int, seed: int = 1, ticks: int = 12, late: float = 0.05) -> None:
        """Minutes of ticks at random, some of them late, a clock mark now and then, as ingest writes them."""
        rng = np.random.default_rng(seed)
        for _ in range(minutes):
            begin = self.now // MINUTE * MINUTE + MINUTE
            times = np.sort(rng.integers(begin, begin + MINUTE, ticks * len(self.symbols)))
            for time in times.tolist():
                symbol = self.symbols[int(rng.integers(len(self.symbols)))]
                price = round(self.prices[symbol] * float(np.exp(rng.normal(0, 0.002))), 2)
                event = time - int(rng.integers(0, 40 * SECOND)) if rng.random() < late else time
                self.tick(symbol, price, time, event=event, size=float(rng.integers(1, 5)))
                if rng.random() < 0.2:
                    self.clock(self.now + 100_000_000)

    # The dataflows

    def make_bars(self) -> None:
        """Bars of all that was journaled since."""
        with Recovery(self.folder / "recovery-bars") as recovery:
            bench = BarsBench(self.journal, recovery, self.store, self.ledger, BarsProgress(), lambda *_: None, GRACE)
            make_bars(bench, threading.Event(), until_end=True, epoch=timedelta(seconds=10))

    def trade(self, *, recovery: Path | None = None, until_end: bool = True, epoch_s: float = 10, **options) -> None:
        """Trade on paper over all that was journaled since."""
        with Recovery(recovery or self.recovery) as held:
            bench = running.Bench(
                self.journal,
                held,
                self.store,
                options.pop("book", self.book),
                self.ledger,
                self.progress,
                lambda level, name, text: self.reports.append((level, name, text)),
                lambda name, text: self.told.append((name, text)),
                self.loops,
                GRACE,
                **options,
            )
            running.trade(bench, self.stop, lambda: self.now, until_end=until_end, epoch=timedelta(seconds=epoch_s))

    # Controls

    def start(self, strategy: str, symbols=None, interval: str = "1m", *, run: str = "", at: int | None = None,
              cash: float = 10_000.0, conditions: Conditions | None = None, folder: Path | None = None,
              **parameters) -> str:  # fmt: skip
        """Ask for a run; its id."""
        found = load(folder / f"{strategy.replace('-', '_')}.py") if folder is not None else find(strategy)
        symbols = tuple(symbols or self.symbols[:1])
        conditions = conditions or Conditions()
        if not conditions.terms:
            terms = {symbol: conditions.others.model_copy(update={"lots": Lots(lot=1e-6)}) for symbol in symbols}
            conditions = conditions.model_copy(update={"terms": terms})
        plan = Plan(
            strategy=found.name, source_hash=found.source_hash, parameters=as_text(found.read_parameters(parameters)),
            symbols=symbols, interval=interval, cash=cash, conditions=conditions,
        )  # fmt: skip
        run = run or f"{len(self.book.controls()) + 1:012x}"
        body = {
            "plan": plan.model_dump(mode="json"),
            "source": found.source,
            "ours": found.ours,
            "path": str(found.path),
        }
        self.ask(run, "start", at=at, **body)
        return run

    def ask(self, run: str, action: str, at: int | None = None, **body) -> int:
        """Ask for anything."""
        return self.book.ask(run, action, body, self.now if at is None else at)

    # What came of it

    def rows(self, kind: str, run: str | None = None) -> list[dict]:
        """Rows of the book."""
        return self.book.rows(kind, run)

    def all_rows(self) -> dict[str, list[dict]]:
        """All that a rerun must come to again."""
        kinds = ("decisions", "orders", "fills", "trades", "equity", "revisions", "events")
        found = {kind: self.rows(kind) for kind in kinds}
        columns = ("run", "state", "why", "equity", "cash_now", "orders", "fills", "trades", "started_seq", "ended_seq")
        found["runs"] = [{name: row[name] for name in columns} for row in self.rows("runs")]
        return found

    def close(self) -> None:
        """Let go of everything."""
        self.writer.close()
        self.book.close()
        self.store.close()
        self.ledger.close()


__all__ = ["BEGIN", "GRACE", "MINUTE", "SECOND", "SYMBOLS", "PaperDesk", "Terms"]
