"""Every incident the bridge can report, with its severity; the runbook has one entry for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

__all__ = ["INCIDENTS", "Incident", "Severity"]


class Severity(IntEnum):
    """How soon a person should look.

    ``INFO`` at leisure, ``WARNING`` the same day, ``CRITICAL`` now: money may be at risk.
    """

    INFO = 0
    WARNING = 1
    CRITICAL = 2


_INFO: Final = Severity.INFO
_WARNING: Final = Severity.WARNING
_CRITICAL: Final = Severity.CRITICAL

INCIDENTS: Final[Mapping[str, Severity]] = {
    # data
    "STALE_BARS": _WARNING,
    "BAD_BARS": _WARNING,
    "SHORT_HISTORY": _WARNING,
    "DATA_PROBLEM": _WARNING,
    "SERIES_MISSING": _WARNING,
    "SERIES_STALE": _WARNING,
    "SERIES_LATE": _WARNING,
    # the tick before this one
    "RECOVERED": _WARNING,
    "ABANDONED": _WARNING,
    # the account against the journal
    "RECOVERED_ORPHAN": _WARNING,
    "FOREIGN_POSITION": _WARNING,
    "PHANTOM_POSITION": _CRITICAL,
    "EXTERNAL_CANCEL": _WARNING,
    "EXPIRED_WITH_FILLS": _WARNING,
    "ACCOUNT_UNREADABLE": _CRITICAL,
    # orders
    "ORDER_REJECTED": _WARNING,
    "ORDER_BLOCKED": _WARNING,
    "ORDER_UNRESOLVED": _CRITICAL,
    "ORDER_PARTIAL": _INFO,
    "MARKET_NOT_TRADING": _WARNING,
    # the exchange
    "EXCHANGE_FAILED": _WARNING,
    "EXCHANGE_BANNED": _CRITICAL,
    "KEY_REFUSED": _CRITICAL,
    "KEY_UNRESTRICTED": _WARNING,
    "KEY_OLD": _WARNING,
    "CLOCK_SKEW": _WARNING,
    # risk
    "NO_ENTRIES": _WARNING,
    "REDUCE_ONLY": _WARNING,
    "HALTED": _CRITICAL,
    # the machine and its files
    "CONFIG_FAULT": _CRITICAL,
    "CONFIG_CHANGED": _INFO,
    "MODE_CHANGED": _WARNING,
    "RESTORED_STATE": _CRITICAL,
    "JOURNAL_FAULT": _CRITICAL,
    "LOCKED": _INFO,
    "DISK_LOW": _CRITICAL,
    "UNHEALTHY": _CRITICAL,
    "UNEXPECTED_ERROR": _CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Incident:
    """Something a person should know.

    Attributes
    ----------
    code : str
        One of :data:`INCIDENTS`.
    detail : str
        What was found and what it means, one line, without secrets.
    symbol : str
        The market it is about; empty when it is about none.

    Raises
    ------
    KeyError
        For a code that the catalogue, and therefore the runbook, does not know.

    Examples
    --------
    >>> Incident("PHANTOM_POSITION", "0.5 BTC in the journal, 0 on the exchange", "BTC/USDT").severity
    <Severity.CRITICAL: 2>
    """

    code: str
    detail: str
    symbol: str = ""

    def __post_init__(self) -> None:
        INCIDENTS[self.code]

    @property
    def severity(self) -> Severity:
        """How soon a person should look."""
        return INCIDENTS[self.code]

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "code": self.code,
            "severity": self.severity.name,
            "detail": self.detail,
            "symbol": self.symbol,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Incident:
        """Read what :meth:`document` wrote."""
        return cls(document["code"], document["detail"], document["symbol"])
