"""Structured logs: one JSON object a line, rotated, without secrets.

Two files, for two classes of retention: ``bridge.jsonl`` has everything and is kept for some weeks,
``incidents.jsonl`` has warnings and worse and is kept for long. Both are bounded by size.

This is the standard library's logging: structlog would import rich, a tenth of a second of every tick.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from feature_store.errors import StoreError
from live_bridge.monitoring.redaction import Redactor

__all__ = ["FIELDS", "RETENTION", "Log", "open_log"]

# Every line has these, in this order; what else is told stands under `details`.
FIELDS: Final = (
    "timestamp_utc",
    "log_level",
    "component",
    "strategy_id",
    "family",
    "exchange_id",
    "symbol",
    "correlation_id",
    "trace_id",
    "message",
    "details",
)
# Bytes of one file and how many older ones are kept, by class.
RETENTION: Final[Mapping[str, tuple[int, int]]] = {
    "bridge.jsonl": (10_000_000, 9),
    "incidents.jsonl": (10_000_000, 49),
}


class Log:
    """Writes lines that share some fields; :func:`open_log` makes one.

    `message` is for people; the named fields of :data:`FIELDS` are for machines; anything else lands under
    ``details``.
    """

    def __init__(self, logger: logging.Logger, redactor: Redactor, shared: Mapping[str, Any]) -> None:
        self._logger, self._redactor, self._shared = logger, redactor, dict(shared)

    def info(self, message: str, **fields: Any) -> None:
        """Write a line of level info."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Write a line of level warning."""
        self._write(logging.WARNING, message, fields)

    def critical(self, message: str, **fields: Any) -> None:
        """Write a line of level critical."""
        self._write(logging.CRITICAL, message, fields)

    def _write(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        known = {
            **self._shared,
            **fields,
            "timestamp_utc": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log_level": logging.getLevelName(level),
            "message": message,
        }
        line = {name: known.pop(name, "") for name in FIELDS[:-1]}
        line["trace_id"] = line["trace_id"] or line["correlation_id"]
        line["details"] = {**known.pop("details", {}), **known}
        self._logger.log(level, "%s", json.dumps(self._redactor.value(line), ensure_ascii=False, default=str))


def open_log(
    folder: Path, *, correlation_id: str, exchange_id: str, redactor: Redactor, component: str = "live_bridge"
) -> Log:
    """Return a log that writes under `folder`.

    Parameters
    ----------
    folder : pathlib.Path
        Created when missing.
    correlation_id : str
        The same on all lines of one run.
    exchange_id : str
        CCXT's id.
    redactor : Redactor
        Sees every line last.
    component : str
        Who writes.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    shared = {"component": component, "exchange_id": exchange_id, "correlation_id": correlation_id}
    return Log(_logger(folder), redactor, shared)


def _logger(folder: Path) -> logging.Logger:
    # A logger per folder: one process may serve several, and handlers must not pile up.
    logger = logging.getLogger(f"live_bridge.{folder.resolve()}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if logger.handlers:
        return logger
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (size, kept) in RETENTION.items():
            handler = _Quiet(folder / name, maxBytes=size, backupCount=kept, encoding="utf-8")
            handler.setLevel(logging.WARNING if name.startswith("incidents") else logging.INFO)
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.addHandler(handler)
    except OSError as error:
        for done in list(logger.handlers):
            logger.removeHandler(done)
        raise StoreError(
            f"{folder}: logs cannot be written ({error.strerror or error}); check permissions and free space"
        ) from None
    return logger


class _Quiet(RotatingFileHandler):
    """A full disk loses log lines; it must not stop a tick that has orders to settle."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        del record
