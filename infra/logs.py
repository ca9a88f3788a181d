"""Logs: JSON lines in a rotating file per process, with the process, the feed and the symbol, and never a secret."""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import structlog

from market.errors import DeskError

MAX_BYTES: Final = 10_000_000
KEPT: Final = 5
"""A process holds at most (KEPT + 1) x MAX_BYTES of logs."""

_BLACK: Final = "***"
_SECRET_KEY: Final = re.compile(r"(?i)(^|_)(token|secret|password|passwd|api_?key|authorization|cookie)s?$")
_USER_INFO: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/@:]*):(?P<password>[^\s/]*)@")
_PAIR: Final = re.compile(
    r"(?i)\b(?P<key>auth_token|access_token|token|password|secret|api_?key|sessionid(?:_sign)?)"
    r"(?P<quote>[\"']?\s*[=:]\s*[\"']?)(?P<value>[^\s\"'&,;}]+)"
)


class Redaction:
    """Blacks out secrets: those it was told, passwords in addresses, and values under telling names."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, so that one secret inside another leaves no remainder; short ones would black out words.
        self._secrets = sorted((secret for secret in secrets if len(secret) >= 6), key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets.

        >>> Redaction(["hunter22"]).text("mongodb://desk:pass@host/db and token=abc and hunter22")
        'mongodb://desk:***@host/db and token=*** and ***'
        """
        clean = _USER_INFO.sub(rf"\g<scheme>\g<user>:{_BLACK}@", text)
        clean = _PAIR.sub(rf"\g<key>\g<quote>{_BLACK}", clean)
        for secret in self._secrets:
            clean = clean.replace(secret, _BLACK)
        return clean

    def value(self, value: Any) -> Any:
        """The value without secrets, lists and tables within it included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def _field(self, key: str, value: Any) -> Any:
        return _BLACK if value and _SECRET_KEY.search(key) else self.value(value)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor: the whole event without secrets."""
        for key, value in event.items():
            if not key.startswith("_"):
                event[key] = self._field(key, value)
        return event


def configure(process: str, path: Path, *, level: str = "info", secrets: Iterable[str] = ()) -> None:
    """Send this process's logs, those of libraries and any uncaught exception included, to `path` as JSON lines.

    Args:
        process: Written on each line.
        path: The file; rotated to `path.1` and on.
        level: `debug`, `info`, `warning` or `error`.
        secrets: Texts that must never appear.

    Raises:
        DeskError: The file cannot be opened.
    """
    redaction = Redaction(secrets)

    def bind_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    shared = [bind_process, *_SHARED]
    try:
        handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    except OSError as error:
        msg = f"log file {path} cannot be written: {error.strerror or error}; mend its permissions, or free space"
        raise DeskError(msg) from error
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redaction,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, RotatingFileHandler):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    # A full disk must not turn each log line into a traceback on standard error.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    _route(shared)
    sys.excepthook = _log_uncaught


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
]


def _route(processors: list[Any]) -> None:
    """Send structlog's events through the standard library's loggers."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logger().critical("uncaught", exc_info=(kind, error, trace))
    sys.__excepthook__(kind, error, trace)


def logger(**bound: Any) -> structlog.stdlib.BoundLogger:
    """A logger with fields bound to each of its lines: `logger(feed="kraken")`.

    Before `configure` it must not fall back to structlog's own default, which prints on standard output, where results
    are.
    """
    if not structlog.is_configured():
        _route(_SHARED)
    bound_logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("pocketquant").bind(**bound)
    return bound_logger
