"""The connection to MongoDB: its time-outs and its promises, and what its errors mean. No password is ever shown."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from market.errors import DeskError
from sinks.bar_store import StoreAway

DATABASE: Final = "pocketquant"
"""The database, where the address names none."""

_AWAY_CODES: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Server errors that pass: unreachable, shutting down, stepping down, out of time."""


def shown(uri: str) -> str:
    """An address without user and password, and without options, where tokens may stand.

    >>> shown("mongodb://desk:secret@db.example:27017/pocketquant?authSource=admin")
    'mongodb://db.example:27017/pocketquant'
    """
    return re.sub(r"//.*@", "//", uri).partition("?")[0]


def connect(uri: str, timeout_s: float) -> tuple[MongoClient[dict[str, Any]], Database[dict[str, Any]]]:
    """A client that has not asked the server yet, and the database that the address names.

    Args:
        uri: Address, with user and password if the server wants them.
        timeout_s: How long a server may take to answer before it counts as away; a third of it to connect.

    Raises:
        DeskError: The address is malformed.
    """
    try:
        with warnings.catch_warnings():
            # The driver warns of options that it does not know and goes on without them.
            warnings.simplefilter("error", UserWarning)
            client: MongoClient[dict[str, Any]] = MongoClient(
                uri,
                serverSelectionTimeoutMS=round(timeout_s * 333),
                connectTimeoutMS=round(timeout_s * 333),
                socketTimeoutMS=round(timeout_s * 1000),
                appname="pocketquant",
                connect=False,
            )
        database = client.get_default_database(DATABASE)
    except (PyMongoError, UserWarning, ValueError, TypeError):
        # The cause quotes the address, password and all: it must not be chained.
        msg = (
            f"MongoDB address {shown(uri)} is malformed, or an option in it is unknown; it is "
            "mongodb://[USER:PASSWORD@]HOST[:PORT]/[DATABASE][?OPTION=VALUE], percent-encoded"
        )
        raise DeskError(msg) from None
    options: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
    return client, database.with_options(codec_options=options, write_concern=WriteConcern(w="majority", j=True))


@contextmanager
def trouble(where: str) -> Iterator[None]:
    """Turn the driver's errors into sentences that name the server, and never its password.

    Raises:
        StoreAway: The server cannot be reached, does not answer, or is changing its primary.
        DeskError: Anything else.
    """
    try:
        yield
    except (ConnectionFailure, WTimeoutError) as error:
        msg = f"MongoDB at {where} does not answer: see that it runs, and that MONGODB_URI names it"
        raise StoreAway(msg) from error
    except BulkWriteError as error:
        codes = [one.get("code") for one in error.details.get("writeErrors", [])]
        concern = error.details.get("writeConcernErrors", [])
        if not codes or all(code in _AWAY_CODES for code in codes):
            msg = f"MongoDB at {where} could not confirm a write: see its log and its replicas"
            raise StoreAway(msg) from error
        msg = f"MongoDB at {where} refuses to write bars: errors {codes[:5]} {concern[:1]}; see its log"
        raise DeskError(msg) from error
    except OperationFailure as error:
        if error.code in _AWAY_CODES:
            msg = f"MongoDB at {where} is not ready: it is starting, or changing its primary; wait a moment"
            raise StoreAway(msg) from error
        advice = "check user, password and rights in MONGODB_URI" if error.code in {13, 18, 8000} else "see its log"
        msg = f"MongoDB at {where} refuses: {error.details and error.details.get('errmsg')}; {advice}"
        raise DeskError(msg) from error
    except PyMongoError as error:
        msg = f"MongoDB at {where}: {type(error).__name__}; check MONGODB_URI and the server"
        raise DeskError(msg) from error
