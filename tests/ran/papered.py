"""Paper trading on a journal of the test's own: the real dataflow, its book, and the proof that it was right."""

import threading
from datetime import timedelta
from hashlib import sha256

import numpy as np
from ran.journaled import BEGIN, GRACE, Journaled
from ran.running import loops

from backtest.parity import certify
from dataflows.paper.progress import Progress
from dataflows.paper.running import Bench, Limits, trade
from dataflows.past import opened
from dataflows.recovery import Recovery
from sinks.paper_book import open_paper_book
from strategies.loader.files import find, from_source
from strategies.loader.parameters import as_text
from trading.opening import Conditions, Terms
from trading.plan import Plan


class Papered(Journaled):
    """A desk that trades on paper; whatever is asked of it takes effect when `trade` is called next."""

    def __init__(self, folder, store=None):
        super().__init__(folder, store)
        self._paper_recovery = folder / "recovery" / "paper"
        self.book = open_paper_book(self.where, folder / "paper.sqlite")
        self.now = BEGIN

    def start(
        self, source, symbols, interval="1m", *, cash=10_000.0, lot=0.01, name="mine", asked_at=None, **conditions
    ):
        """Ask for a run of a strategy: the name of one of ours, or a source; its id."""
        ours = "\n" not in source
        strategy = find(source) if ours else from_source(name, self.journal / f"{name}.py", source)
        parameters = conditions.pop("parameters", {})
        others = conditions.pop("others", Terms())
        others = others.model_copy(update={"lots": others.lots.model_copy(update={"lot": lot})})
        plan = Plan(
            strategy=strategy.name, source_hash=strategy.source_hash, symbols=tuple(symbols), interval=interval,
            cash=cash, parameters=as_text(strategy.read_parameters(parameters)),
            conditions=Conditions(terms=dict.fromkeys(symbols, others), **conditions),
        )  # fmt: skip
        run = sha256(f"{plan.model_dump_json()}{len(self.book.controls())}".encode()).hexdigest()[:12]
        body = {
            "plan": plan.model_dump(mode="json"), "source": strategy.source, "ours": ours, "path": str(strategy.path)
        }  # fmt: skip
        self.book.ask(run, "start", body, self.now if asked_at is None else asked_at)
        return run

    def ask(self, run, action, asked_at=None, **body):
        """Ask for something else."""
        return self.book.ask(run, action, body, self.now if asked_at is None else asked_at)

    def trade(self, limits=None, warm_up=500, grace_ns=GRACE, patience_s=10.0):
        """Bars, then paper, to the journal's end."""
        self.make_bars(grace_ns)
        with Recovery(self._paper_recovery) as recovery:
            bench = Bench(
                self.journal, recovery, self.store, self.book, self.ledger, Progress(), lambda *_: None,
                lambda *_: None, loops(), grace_ns, limits or Limits(), warm_up, 0, patience_s,
            )  # fmt: skip
            trade(bench, threading.Event(), lambda: self.now, until_end=True, epoch=timedelta(seconds=10))

    def prove(self, *, whole=False, book=None, archive=None):
        """What is proven of all runs, by the journal and the archive before it; the book may be another."""
        book = book or self.book
        with opened(self.journal, archive) as (journal, _):
            return list(certify(book, book.runs(), journal, self.store, loops(), self.now, whole=whole))

    def close(self):
        """Let go of everything."""
        self.book.close()
        super().close()


def rng(seed):
    """Chance, seeded."""
    return np.random.default_rng(seed)
