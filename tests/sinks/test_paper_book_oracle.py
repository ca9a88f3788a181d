"""Every engine of the paper book is held against a dictionary, on any sequence of what may be done to it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from sinks.paper_book import KINDS, PRUNED, Position, Written, open_paper_book

RUNS = ("", "a", "ab1")
KINDS_USED = ("runs", "orders", "equity", "decisions", "certificates")

numbers = st.integers(0, 4)
"""So few that rows meet."""
values = {
    "text": st.text(max_size=5),
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=True),
    "bool": st.booleans(),
    "json": st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=3,
    ),
    "bytes": st.binary(max_size=9),
}


@st.composite
def row(draw, kind):
    """A row with some of its columns."""
    chosen = draw(st.lists(st.sampled_from(KINDS[kind]), max_size=3, unique=True))
    given_ = {column.name: draw(st.none() | values[column.type]) for column in chosen if column.name != "pruned_seq"}
    if kind in PRUNED:
        given_ |= {"time": draw(numbers), "seq": draw(numbers)}
    if kind == "certificates":
        given_ |= {"to_seq": draw(numbers), "result": "equal"}
    return {"run": draw(st.sampled_from(RUNS)), "number": draw(numbers), **given_}


@st.composite
def writes(draw):
    """A batch, and how far its position is beyond the one that stands; None for no position."""
    kinds = draw(st.lists(st.sampled_from(KINDS_USED), min_size=1, max_size=2, unique=True))
    rows = {kind: draw(st.lists(row(kind), max_size=4)) for kind in kinds}
    warm_ups = draw(st.dictionaries(st.sampled_from(RUNS), st.binary(), max_size=2))
    ahead = draw(st.sampled_from((None, -1, 0, 1, 1, 2, 5)))
    states = {} if ahead is None else draw(st.dictionaries(st.sampled_from(RUNS), st.binary(max_size=9), max_size=3))
    return "write", (Written(rows, states, None, warm_ups), ahead)


def placed(place, batch, ahead):
    """The batch at its position: all four parts rise together, as they do in the dataflow."""
    if ahead is None:
        return batch
    step = place.log_seq + ahead
    return batch._replace(position=Position(step // 2, step, step // 3 * 60 * 10**9, step // 4, place.clock + 1, 2))


others = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(RUNS)),
    st.tuples(st.just("apply"), st.dictionaries(st.integers(1, 3), st.integers(1, 99), max_size=2)),
    st.tuples(st.just("refuse"), st.dictionaries(st.integers(1, 3), st.text(min_size=1, max_size=4), max_size=2)),
    st.tuples(st.just("forget"), st.sampled_from(RUNS)),
    st.tuples(st.just("prune"), numbers),
    st.tuples(st.just("reopen"), st.none()),
)
steps = st.booleans().flatmap(lambda write: writes() if write else others)


class Oracle:
    """What a book is meant to hold, in plain Python."""

    def __init__(self) -> None:
        self.rows = {kind: {} for kind in KINDS}
        self.states, self.warm_ups, self.controls = {}, {}, []
        self.place = Position()

    def write(self, batch):
        """As the book; what stands is compared by four places."""
        if batch.position is not None:
            if batch.position[:4] <= self.place[:4]:
                return False
            self.place = batch.position
        for kind, rows in batch.rows.items():
            for one in rows:
                empty = dict.fromkeys(("run", "number", *(column.name for column in KINDS[kind])))
                held = self.rows[kind].setdefault((one["run"], one["number"]), empty)
                held.update({name: None if isinstance(v, float) and math.isnan(v) else v for name, v in one.items()})
        self.states.update({run: (self.place.seq, state) for run, state in batch.states.items()})
        self.warm_ups = {**batch.warm_ups, **self.warm_ups}
        return True

    def ask(self, run):
        """Number the control."""
        self.controls.append([len(self.controls) + 1, run, None, ""])
        return len(self.controls)

    def apply(self, places):
        """A place stays."""
        for control in self.controls:
            if control[2] is None:
                control[2] = places.get(control[0])

    def refuse(self, refused):
        """A refusal stays."""
        for control in self.controls:
            control[3] = control[3] or refused.get(control[0], "")

    def forget(self, run):
        """All but controls."""
        gone = [(kind, key) for kind in KINDS for key in self.rows[kind] if key[0] == run]
        for kind, key in gone:
            del self.rows[kind][key]
        self.states.pop(run, None)
        self.warm_ups.pop(run, None)
        return len(gone)

    def prune(self, before):
        """The oldest of each run and kind, up to the first that is younger, or no certificate has come to."""
        gone = 0
        runs = {run for run, _ in self.rows["runs"]} | {""}
        for run in runs:
            proven = [one["to_seq"] or 0 for (of, _), one in self.rows["certificates"].items() if of == run]
            bound = math.inf if run == "" else max(proven, default=0)
            for kind in PRUNED:
                for key in sorted(key for key in self.rows[kind] if key[0] == run):
                    one = self.rows[kind][key]
                    if one["time"] >= before or (one.get("seq") or 0) > bound:
                        break
                    del self.rows[kind][key]
                    gone += 1
                    self._note(run, one.get("seq") or 0)
        return gone

    def _note(self, run, seq):
        for key, one in self.rows["runs"].items():
            if key[0] == run and seq > 0:
                one["pruned_seq"] = max(one["pruned_seq"] or seq, seq)


def done(book, step, argument):
    """What a book says of one step."""
    match step:
        case "ask":
            return book.ask(argument, "stop", {}, 1)
        case "apply":
            return book.apply(argument)
        case "refuse":
            return book.apply({}, argument)
        case _:
            return getattr(book, step)(argument)


def check(book, oracle):
    """Hold all that can be read against the dictionary."""
    assert book.position() == oracle.place
    for kind in KINDS_USED:
        expected = [oracle.rows[kind][key] for key in sorted(oracle.rows[kind])]
        assert repr(book.rows(kind)) == repr(expected)
        for run in RUNS:
            own = [one for one in expected if one["run"] == run and 1 <= one["number"] < 4]
            assert repr(book.rows(kind, run, 0, 4, 2, newest_first=True)) == repr(own[::-1][:2])
    for run in RUNS:
        assert book.state(run) == oracle.states.get(run)
        assert book.warm_up(run) == oracle.warm_ups.get(run, b"")
    found = [[one.number, one.run, one.applied_seq, one.refused] for one in book.controls()]
    assert found == oracle.controls


def play(where, path, sequence):
    """The steps, on a book and on the dictionary."""
    book, oracle = open_paper_book(where, path), Oracle()
    try:
        for step, argument in sequence:
            if step == "reopen":
                book.close()
                book = open_paper_book(where, path)
                continue
            given_ = placed(oracle.place, *argument) if step == "write" else argument
            assert done(book, step, given_) == getattr(oracle, step)(given_)
        check(book, oracle)
    finally:
        book.close()


@settings(max_examples=30)
@given(sequence=st.lists(steps, max_size=10))
def test_sqlite_is_the_dictionary(tmp_path_factory, sequence):
    play("bars.sqlite", tmp_path_factory.mktemp("book") / "paper.sqlite", sequence)


@pytest.mark.mongo
@settings(max_examples=25)
@given(sequence=st.lists(steps, max_size=10))
def test_mongodb_is_the_dictionary(mongo_address, tmp_path_factory, sequence):
    with MongoClient(mongo_address) as client:
        client.drop_database("paper_oracle")
    base, _, options = mongo_address.partition("?")
    where = f"{base.rstrip('/')}/paper_oracle{'?' if options else ''}{options}"
    play(where, tmp_path_factory.getbasetemp() / "paper.sqlite", sequence)
