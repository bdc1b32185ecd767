"""Why an instance has no decision yet, cannot have one, or has one that a person should know more of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Notice", "SeriesWaiting", "Skipped", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance whose bar has closed and that the exchange has not published in any of its markets.

    `behind` counts the bars from the newest one published to the one that is due: 1 is ordinary just after a
    close.
    """

    instance: str
    due: datetime
    newest: datetime
    behind: int

    def __str__(self) -> str:
        return (
            f"WAITING_FOR_BAR {self.instance}: bar {self.due:%Y-%m-%d %H:%M}Z has closed, the newest one the "
            f"exchange has opened {self.newest:%Y-%m-%d %H:%M}Z"
        )


@dataclass(frozen=True, slots=True)
class SeriesWaiting:
    """An instance that waits, for a while, for a value that should be stored by now."""

    instance: str
    detail: str
    behind: int = 0

    def __str__(self) -> str:
        return f"WAITING_FOR_SERIES {self.instance}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person should know of a decision: an incident's code, the instance, and what was found."""

    code: str
    instance: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code} {self.instance}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Skipped(Notice):
    """A due instance that cannot decide on the bars there are; it keeps its quantities."""

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"instance": self.instance, "code": self.code, "detail": self.detail}
