"""Feature flags: what is switched off, for whom, since when and why; every change stays recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from feature_store.atomic import exclusive, write_bytes
from lab.core.errors import ConfigError, DataError
from lab.data.catalog import store_errors

__all__ = ["SCOPES", "Flag", "blocking", "blocks", "flags", "set_flag"]

SCHEMA_VERSION: Final = 1
SCOPES: Final = ("exchange", "market", "timeframe", "family", "instance", "switch")


@dataclass(frozen=True, slots=True)
class Flag:
    """One switch, thrown once.

    Parameters
    ----------
    scope : mapping
        Some of ``exchange, market, timeframe, family, instance, switch``: whatever has all of these. A
        switch is a name of the user's own; the instances that list it under ``flags`` have it.
    enabled : bool
        False blocks.
    at : datetime
        From when on.
    by, reason : str
        Who, and why.
    """

    scope: Mapping[str, str]
    enabled: bool
    at: datetime
    by: str
    reason: str


def set_flag(
    root: Path, scope: Mapping[str, str], *, enabled: bool, at: datetime, by: str, reason: str
) -> Flag:
    """Record that something is switched off or on again.

    Raises
    ------
    ConfigError
        If the scope is empty or has an unknown key, the reason is empty, or the time is before that of the
        last change: history is not rewritten.
    """
    unknown = [name for name in scope if name not in SCOPES]
    if unknown or not scope or not all(scope.values()):
        raise ConfigError(f"flag for {dict(scope)}: expected some of {', '.join(SCOPES)}, each with a value")
    if not reason.strip() or not by.strip():
        raise ConfigError("a flag needs who and why: by and reason are empty")
    if at.tzinfo is None:
        raise ConfigError("flag without time zone: times are UTC")
    folder = Path(root) / "data" / "flags"
    flag = Flag(dict(sorted(scope.items())), enabled, at, by, reason)
    with store_errors(), exclusive(folder):
        past = flags(root)
        if past and at < past[-1].at:
            raise ConfigError(
                f"flag at {at:%Y-%m-%d %H:%M}Z: the last change was at {past[-1].at:%Y-%m-%d %H:%M}Z"
            )
        rows = [{**asdict(each), "at": each.at.isoformat()} for each in [*past, flag]]
        text = json.dumps({"schema_version": SCHEMA_VERSION, "flags": rows}, indent=1, sort_keys=True) + "\n"
        write_bytes(folder / "flags.json", text.encode())
    return flag


def flags(root: Path, *, at: datetime | None = None) -> list[Flag]:
    """Return all changes up to an instant (None: all), oldest first."""
    path = Path(root) / "data" / "flags" / "flags.json"
    try:
        document = json.loads(path.read_bytes())
        if document["schema_version"] != SCHEMA_VERSION:
            raise DataError(f"{path}: schema version {document['schema_version']}, expected {SCHEMA_VERSION}")
        found = [Flag(**{**row, "at": datetime.fromisoformat(row["at"])}) for row in document["flags"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        # Unreadable switches must not read as "all on".
        raise DataError(f"{path} cannot be read as flags: {error}; restore it") from None
    return [flag for flag in found if at is None or flag.at <= at]


def blocks(root: Path, at: datetime, **who: str) -> list[Flag]:
    """Return the flags that block something at an instant; empty: it may run.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` lies.
    at : datetime
        Timezone-aware.
    **who : str
        What is asked about: ``exchange, market, timeframe, family, instance, switch``, as far as it has
        them.
    """
    return blocking(flags(root, at=at), **who)


def blocking(changes: Iterable[Flag], **who: str) -> list[Flag]:
    """Return those of some changes, oldest first, that block something: of each scope the latest counts."""
    unknown = [name for name in who if name not in SCOPES]
    if unknown:
        raise ConfigError(f"flags know no {unknown[0]}; expected some of {', '.join(SCOPES)}")
    latest = {tuple(flag.scope.items()): flag for flag in changes}
    return [
        flag
        for scope, flag in latest.items()
        if not flag.enabled and all(who.get(name) == value for name, value in scope)
    ]
