"""One thing looked at, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Check", "Status", "checked"]

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Attributes
    ----------
    name : str
        What was looked at.
    status : str
        ``ok``; ``warning``: works, but somebody should look; ``failed``: something will not work or cannot be
        trusted; ``skipped``: there is nothing to look at.
    found : str
        In one line.
    remedy : str
        What to do; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def checked(name: str, look: Callable[[], Check], remedy: str) -> Check:
    """Return what `look` finds; that it cannot look is a failed check, not the end of the examination."""
    try:
        return look()
    except Exception as error:
        said = str(error).strip().splitlines()
        return Check(name, "failed", f"{type(error).__name__}: {said[0] if said else 'no message'}", remedy)
