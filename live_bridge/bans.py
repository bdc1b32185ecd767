"""An exchange that asks to be left alone is left alone, by later runs too: asking on makes bans longer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import write_bytes
from lab.core.errors import VenueError

__all__ = ["BannedError", "Past", "heeded", "retry_after_s"]

_UNTOLD_S: Final = 60.0
_LONGEST_S: Final = 3 * 86_400.0


class BannedError(VenueError):
    """The exchange refuses all requests for a while: too many came, or it is under attack."""

    incident = "EXCHANGE_BANNED"

    def __init__(self, message: str, seconds: float, *, banned: bool = False) -> None:
        super().__init__(message)
        self.seconds, self.banned = seconds, banned


@dataclass(slots=True)
class Past:
    """What a ban that is over leaves: whether it was more than a limit, and whether the risk step knows."""

    banned: bool = False
    told: bool = False


def retry_after_s(headers: Mapping[str, Any] | None) -> float:
    """Return how long an answer of 429 or 418 asks to wait, in seconds; a minute where it does not say.

    Examples
    --------
    >>> retry_after_s({"Retry-After": "7"}), retry_after_s({}), retry_after_s({"retry-after": "soon"})
    (7.0, 60.0, 60.0)
    """
    told = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after")
    try:
        return min(max(float(str(told)), 1.0), _LONGEST_S)
    except ValueError:
        return _UNTOLD_S


@contextmanager
def heeded(state: Path, local: datetime, *, instead: str = "") -> Iterator[Past]:
    """Refuse the block while a ban is on, and remember one that is met within it.

    Parameters
    ----------
    state : pathlib.Path
        The journal's file, beside which the end of a ban is kept.
    local : datetime
        This machine's time: the exchange's cannot be asked.
    instead : str
        What to add to the refusal: what was not done, and what can be.

    Yields
    ------
    Past
        A ban proper is kept until `told` is set; a mere limit is forgotten when the block succeeds.

    Raises
    ------
    BannedError
        Before anything is asked.
    """
    file = state.with_name(state.name + ".banned")
    until, banned = _read(file)
    if until is not None and local < until <= local + timedelta(seconds=_LONGEST_S):
        raise BannedError(
            f"EXCHANGE_BANNED the exchange asked to be left alone until {until:%Y-%m-%d %H:%M:%S}Z; nothing "
            f"was asked{instead}. To ask all the same, remove {file}",
            (until - local).total_seconds(),
        )
    past = Past(banned)
    try:
        yield past
    except BannedError as error:
        end = local + timedelta(seconds=error.seconds)
        document = {"until": end.isoformat(), "banned": error.banned or (banned and not past.told)}
        write_bytes(file, json.dumps(document).encode())
        raise
    if until is not None and (past.told or not banned):
        file.unlink(missing_ok=True)


def _read(file: Path) -> tuple[datetime | None, bool]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return datetime.fromisoformat(document["until"]), document.get("banned") is True
    except (OSError, ValueError, KeyError, TypeError):
        return None, False
