"""The collections of bars and paper trading out of MongoDB and into it again, as files of BSON documents.

A copy takes a while, and the desk goes on writing. So it is made against the stream: first where paper trading stands,
then what it stands on; where each log ends, then the logs, then the bars. Each is at least as new as what points to it,
which is the state that a crash may leave, and which the stores mend by themselves. No transaction is needed, which not
every server of the protocol has.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import IO, Any, Final

from market.errors import DeskError
from sinks import paper_mongo
from sinks.bar_store import StoreAway
from sinks.mongo_client import connect, shown, trouble
from sinks.paper_mongo import STATES_KEPT_NS
from sinks.sqlite_copy import Held

PAPER: Final = paper_mongo.COLLECTIONS
COLLECTIONS: Final = (*PAPER, "writers", "bar_revisions", "bars")
"""In the order in which they are copied."""

TIMEOUT_S: Final = 30.0
ANSWER_S: Final = 5.0
"""A server that does not answer within a third of this counts as away."""
_BULK: Final = 1_000
_SIZE: Final = struct.Struct("<i")
_CUT_MASK: Final = 0x3F
_BLOCK_MAX: Final = 4 << 20


class MongoCopy:
    """Reads and writes whole collections of one database."""

    def __init__(self, uri: str, database: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """Prepare to talk to a server.

        Args:
            uri: Of the bar store.
            database: Another database on the same server than the address names.
            timeout_s: How long it may take to answer.
        """
        from bson.raw_bson import RawBSONDocument

        self._where = shown(uri)
        self._client, named = connect(uri, timeout_s)
        self._database = named if database is None else self._client[database]
        options = self._database.codec_options.with_options(document_class=RawBSONDocument)
        self._closed_until = 0
        """Of paper trading's position, as it was copied, ns."""
        self._raw: dict[str, Any] = {
            name: self._database.get_collection(name, codec_options=options) for name in COLLECTIONS
        }

    @property
    def database(self) -> str:
        """Its name."""
        return str(self._database.name)

    def empty(self) -> bool:
        """Whether none of the collections holds anything."""
        with trouble(self._where):
            return all(self._database[name].find_one({}, {"_id": 1}) is None for name in COLLECTIONS)

    def blocks(self, name: str) -> Iterator[bytes]:
        """A collection by `_id`, as runs of whole BSON documents.

        Where a run ends depends on the ids alone, so a collection that grew gives the same runs again, and new ones.

        Raises:
            DeskError: Paper trading went on so fast that the states of the position that was copied may be gone.
        """
        if name == paper_mongo.POSITION:
            self._closed_until = self._paper_closed_until()
        held: list[bytes] = []
        size = 0
        with trouble(self._where):
            for document in self._raw[name].find({}, sort=[("_id", 1)]):
                raw = document.raw
                held.append(raw)
                size += len(raw)
                # An ObjectId ends with a counter; a text id is hashed by its last bytes too.
                if size >= _BLOCK_MAX or (size > _BLOCK_MAX >> 2 and not _tail(document) & _CUT_MASK):
                    yield b"".join(held)
                    held, size = [], 0
        if name == paper_mongo.STATES and self._paper_closed_until() - self._closed_until >= STATES_KEPT_NS:
            msg = (
                f"paper trading at {self._where} is catching up, and went on by minutes while its states were copied: "
                "back up again once it has caught up"
            )
            raise DeskError(msg)
        if held:
            yield b"".join(held)

    def _paper_closed_until(self) -> int:
        with trouble(self._where):
            found = self._database[paper_mongo.POSITION].find_one({})
        return 0 if found is None else int(found["at"]["closed_until"])

    def held(self, name: str) -> Held:
        """How many documents there are, and the hash of all of them by `_id`."""
        digest, count = hashlib.sha256(), 0
        with trouble(self._where):
            for document in self._raw[name].find({}, sort=[("_id", 1)]):
                digest.update(document.raw)
                count += 1
        return Held(name, count, digest.hexdigest())

    def write(self, name: str, file: IO[bytes]) -> None:
        """Insert the documents of a file.

        Raises:
            DeskError: The file ends in the middle of one.
        """
        from bson.raw_bson import RawBSONDocument

        documents = _documents(file)
        while bulk := [RawBSONDocument(raw) for raw in islice(documents, _BULK)]:
            with trouble(self._where):
                self._raw[name].insert_many(bulk, ordered=False)

    def clear(self) -> None:
        """Remove the collections, which held nothing before a restore that failed."""
        with trouble(self._where):
            for name in COLLECTIONS:
                self._database.drop_collection(name)

    def drop(self) -> None:
        """Remove the database that was made for a drill."""
        with trouble(self._where):
            self._client.drop_database(self._database.name)

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def answers(uri: str) -> bool:
    """Whether a server is there."""
    with mongo_copy(uri, timeout_s=ANSWER_S) as copy, suppress(StoreAway):
        copy.empty()
        return True
    return False


class Counting:
    """Counts documents and hashes them while they pass."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._digest = hashlib.sha256()
        self._count = 0

    def through(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Each block, once it was counted."""
        for block in blocks:
            self._digest.update(block)
            place = 0
            while place < len(block):
                place += _SIZE.unpack_from(block, place)[0]
                self._count += 1
            yield block

    @property
    def held(self) -> Held:
        """Of all that has passed."""
        return Held(self._name, self._count, self._digest.hexdigest())


@contextmanager
def mongo_copy(uri: str, database: str | None = None, *, timeout_s: float = TIMEOUT_S) -> Iterator[MongoCopy]:
    """A `MongoCopy` for a `with` block; arguments as its own."""
    copy = MongoCopy(uri, database, timeout_s=timeout_s)
    try:
        yield copy
    finally:
        copy.close()


def _documents(file: IO[bytes]) -> Iterator[bytes]:
    while head := file.read(_SIZE.size):
        size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else -1
        body = file.read(size - _SIZE.size) if size > _SIZE.size else b""
        if len(body) != size - _SIZE.size:
            msg = "a collection's copy ends in the middle of a document"
            raise DeskError(msg)
        yield head + body


def _tail(document: Any) -> int:
    raw: bytes = document["_id"].binary if hasattr(document["_id"], "binary") else str(document["_id"]).encode()
    return raw[-1]
