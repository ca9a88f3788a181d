"""The paper book in MongoDB. `sinks.paper_book` says what it promises.

Without transactions, order does their work: rows first, then states beside those that stand, then the position; and a
state counts once the position has come to it. After a crash in between, the dataflow comes again with the same rows
and states.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Self, cast

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from market.errors import DeskError
from sinks.mongo_client import connect, shown, trouble
from sinks.paper_book import KINDS, PRUNED, Action, Control, Position, Row, Written
from sinks.paper_values import columns_of, decode, encode, refuse_adrift, refuse_unknown, refuse_writing

Document = dict[str, Any]

POSITION: Final = "paper_position"
STATES: Final = "paper_states"
COLLECTIONS: Final = (POSITION, STATES, *(f"paper_{name}" for name in ("controls", "warm_ups", *KINDS)))
"""In the order in which a copy takes them: each at least as new as the position."""
STATES_KEPT_NS: Final = 120_000_000_000
"""A state that was followed by another stays this long, by the minutes that close: who copies the position first and
the states after it, finds that of the position."""

_BULK: Final = 2_000
"""Operations in one message: a small part of a time-out even for a slow server."""
_DIGITS: Final = 19
"""Of a number in a key: ids of one run lie together, in the order of the numbers."""


class MongoPaper:
    """A `PaperBook` in the collections `paper_*` of the bar store's database.

    The server is not asked before the first call, so a process may start while it is away.
    """

    def __init__(self, uri: str, *, read_only: bool = False, timeout_s: float = 10.0) -> None:
        """Prepare to talk to a server.

        Args:
            uri: Its address, with user and password if it wants them, and the database's name.
            read_only: Write nothing.
            timeout_s: How long a server may take to answer before it counts as away.

        Raises:
            DeskError: The address is malformed.
        """
        self._where = shown(uri)
        self._read_only = read_only
        self._client, self._database = connect(uri, timeout_s)
        self._at: Position | None = None
        """What stands, as long as this object has written it; None if the server is to be asked."""
        self._swept = -1
        """End of the minute in which states were removed last."""

    @property
    def where(self) -> str:
        """The server's address without user, password and options."""
        return self._where

    def ask(self, run: str, action: Action, body: Mapping[str, Any], asked_at: int) -> int:
        """See `PaperBook.ask`."""
        refuse_unknown(action)
        self._may_write()
        control = {"asked_at": asked_at, "run": run, "action": action, "body": json.dumps(body)}
        with trouble(self._where):
            while True:
                newest = self._database.paper_controls.find_one({}, {"_id": 1}, sort=[("_id", DESCENDING)])
                number = 1 + (0 if newest is None else int(newest["_id"]))
                # Another process may have taken the number meanwhile: numbers rise in the order of asking.
                with suppress(DuplicateKeyError):
                    self._database.paper_controls.insert_one(
                        {"_id": number, **control, "applied_seq": None, "refused": ""}
                    )
                    return number

    def controls(self, after: int = 0, *, waiting: bool = False) -> list[Control]:
        """See `PaperBook.controls`."""
        query: Document = {"_id": {"$gt": after}}
        if waiting:
            query["applied_seq"] = None
        with trouble(self._where):
            found = list(self._database.paper_controls.find(query).sort("_id", ASCENDING))
        return [
            Control(
                int(one["_id"]), int(one["asked_at"]), one["run"], cast("Action", one["action"]),
                json.loads(one["body"]), one["applied_seq"], one["refused"],
            )
            for one in found
        ]  # fmt: skip

    def apply(self, places: Mapping[int, int], refused: Mapping[int, str] | None = None) -> None:
        """See `PaperBook.apply`."""
        self._may_write()
        with trouble(self._where):
            for number, seq in places.items():
                self._database.paper_controls.update_one(
                    {"_id": number, "applied_seq": None}, {"$set": {"applied_seq": seq}}
                )
            for number, why in (refused or {}).items():
                self._database.paper_controls.update_one({"_id": number, "refused": ""}, {"$set": {"refused": why}})

    def write(self, batch: Written) -> bool:
        """See `PaperBook.write`."""
        self._may_write()
        refuse_adrift(batch)
        coded = {kind: encode(kind, rows) for kind, rows in batch.rows.items()}
        position, before = batch.position, self._at
        self._at = None
        with trouble(self._where):
            if position is not None:
                before = self.position() if before is None else before
                if not position.beyond(before):
                    self._at = before
                    return False
            for kind, groups in coded.items():
                rows = ((names, values) for names, some in groups for values in some)
                self._put(kind, ((_key(*values[:2]), dict(zip(names, values, strict=True))) for names, values in rows))
            self._put("warm_ups", ((run, {"bars": bars}) for run, bars in batch.warm_ups.items()), how="$setOnInsert")
            self._note_states(batch.states, position or Position())
            if position is not None:
                self._put("position", [("dataflow", {"at": position._asdict()})], how="$max")
                self._drop_states(position)
        self._at = before if position is None else position
        return True

    def position(self) -> Position:
        """See `PaperBook.position`."""
        with trouble(self._where):
            found = self._database.paper_position.find_one({"_id": "dataflow"})
        return Position() if found is None else Position(**{name: int(value) for name, value in found["at"].items()})

    def rows(
        self,
        kind: str,
        run: str | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        *,
        newest_first: bool = False,
    ) -> list[Row]:
        """See `PaperBook.rows`."""
        columns = columns_of(kind)
        if limit is not None and limit <= 0:
            return []
        query: Document = {}
        if run is not None:
            query["_id"] = {
                "$gte": _key(run, 0 if after is None else max(after + 1, 0)),
                "$lt": f"{run}!" if before is None else _key(run, max(before, 0)),
            }
        else:
            bounds = {"$gt": after, "$lt": before}
            if any(bound is not None for bound in bounds.values()):
                query["number"] = {sign: bound for sign, bound in bounds.items() if bound is not None}
        with trouble(self._where):
            found = self._database[f"paper_{kind}"].find(query).sort("_id", DESCENDING if newest_first else ASCENDING)
            documents = list(found if limit is None else found.limit(limit))
        return [
            decode(kind, one["run"], int(one["number"]), (one.get(column.name) for column in columns))
            for one in documents
        ]

    def runs(self) -> list[Row]:
        """See `PaperBook.runs`."""
        return sorted(self.rows("runs"), key=lambda row: -row["number"])

    def run(self, begins: str) -> list[Row]:
        """See `PaperBook.run`."""
        found = [row for row in self.runs() if row["run"].startswith(begins)]
        return [row for row in found if row["run"] == begins] or found

    def state(self, run: str) -> tuple[int, bytes] | None:
        """See `PaperBook.state`."""
        with trouble(self._where):
            reached = _place(run, self.position())
            query = {"_id": {"$gte": f"{run} ", "$lte": reached}}
            found = self._database.paper_states.find_one(query, sort=[("_id", DESCENDING)])
        return None if found is None else (int(found["seq"]), bytes(found["state"]))

    def warm_up(self, run: str) -> bytes:
        """See `PaperBook.warm_up`."""
        with trouble(self._where):
            found = self._database.paper_warm_ups.find_one({"_id": run})
        return b"" if found is None else bytes(found["bars"])

    def forget(self, run: str) -> int:
        """See `PaperBook.forget`."""
        self._may_write()
        own = {"_id": {"$gte": f"{run} ", "$lt": f"{run}!"}}
        with trouble(self._where):
            # Its own row goes last: what a crash leaves behind can still be found, and removed.
            kinds = [*(kind for kind in KINDS if kind != "runs"), "runs"]
            gone = [self._database[f"paper_{kind}"].delete_many(own).deleted_count for kind in kinds]
            self._database.paper_states.delete_many(own)
            self._database.paper_warm_ups.delete_one({"_id": run})
        return sum(gone)

    def prune(self, before: int) -> int:
        """See `PaperBook.prune`."""
        self._may_write()
        with trouble(self._where):
            proven: dict[str, int] = {}
            for one in self._database.paper_certificates.find({"result": "equal"}, {"run": 1, "to_seq": 1}):
                proven[one["run"]] = max(proven.get(one["run"], 0), int(one["to_seq"]))
            runs = [one["run"] for one in self._database.paper_runs.find({}, {"run": 1})]
            gone = sum(self._prune(kind, run, before, proven.get(run, 0)) for kind in PRUNED for run in runs)
            return gone + sum(self._prune(kind, "", before, None) for kind in PRUNED)

    def _prune(self, kind: str, run: str, before: int, proven: int | None) -> int:
        collection = self._database[f"paper_{kind}"]
        own = {"$gte": f"{run} ", "$lt": f"{run}!"}
        stay: list[Document] = [{"time": {"$gte": before}}]
        if proven is not None:
            stay.append({"seq": {"$gt": proven}})
        first = collection.find_one({"_id": own, "$or": stay}, {"_id": 1}, sort=[("_id", ASCENDING)])
        goes: Document = {"_id": own if first is None else {**own, "$lt": first["_id"]}}
        newest = collection.find_one({**goes, "seq": {"$gt": 0}}, {"seq": 1}, sort=[("_id", DESCENDING)])
        if newest is not None:
            # Noted before they go: whoever counts on them must know, even if a crash comes in between.
            self._database.paper_runs.update_many({"_id": own}, {"$max": {"pruned_seq": int(newest["seq"])}})
        return int(collection.delete_many(goes).deleted_count)

    def size_bytes(self) -> int:
        """What the server says that the book's collections occupy."""
        with trouble(self._where):
            held = set(self._database.list_collection_names())
            return sum(
                int(self._database.command("collStats", name).get("storageSize", 0))
                for name in COLLECTIONS
                if name in held
            )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _note_states(self, states: Mapping[str, bytes], position: Position) -> None:
        self._put(
            "states",
            (
                (
                    _place(run, position),
                    {"run": run, "seq": position.seq, "closed_until": position.closed_until, "state": state},
                )
                for run, state in states.items()
            ),
        )

    def _drop_states(self, position: Position) -> None:
        """Once a minute, remove those that were followed by another long enough ago."""
        if position.closed_until == self._swept:
            return
        self._swept = position.closed_until
        old = {"closed_until": {"$lte": position.closed_until - STATES_KEPT_NS}}
        newest = self._database.paper_states.aggregate(
            [{"$match": old}, {"$group": {"_id": "$run", "place": {"$max": "$_id"}}}]
        )
        gone = [{"q": {"_id": {"$gte": f"{one['_id']} ", "$lt": one["place"]}}, "limit": 0} for one in newest]
        for first in range(0, len(gone), _BULK):
            self._done(self._database.command({"delete": "paper_states", "deletes": gone[first : first + _BULK]}))

    def _put(self, name: str, documents: Iterable[tuple[str, Document]], how: str = "$set") -> None:
        """Write fields of documents by their id, on the disk when it returns."""
        concern = self._database.paper_states.write_concern.document
        updates = [{"q": {"_id": place}, "u": {how: fields}, "upsert": True} for place, fields in documents]
        for first in range(0, len(updates), _BULK):
            part = updates[first : first + _BULK]
            self._done(
                self._database.command(
                    {"update": f"paper_{name}", "updates": part, "ordered": False, "writeConcern": concern}
                )
            )

    def _done(self, answer: Document) -> None:
        """Raise what the server says that it did not do."""
        if answer.get("writeErrors") or answer.get("writeConcernError"):
            concern = answer.get("writeConcernError")
            raise BulkWriteError({**answer, "writeConcernErrors": [concern] if concern else []})

    def _may_write(self) -> None:
        if self._read_only:
            raise refuse_writing(self._where)


def _key(run: str, number: int) -> str:
    """Id of a row. The blank sorts before all that a run's own id is made of."""
    if not 0 <= number < 10**_DIGITS:
        msg = f"a row of the paper book is numbered from 0, and this one has {number}"
        raise DeskError(msg)
    return f"{run} {number:0{_DIGITS}d}"


def _place(run: str, position: Position) -> str:
    """Id of a state: those of a run in the order of their positions."""
    seq, log_seq, closed_until, control = position[:4]
    return " ".join([run, *(f"{part:0{_DIGITS}d}" for part in (closed_until, seq, log_seq, control))])
