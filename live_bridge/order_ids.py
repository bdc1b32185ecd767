"""Client order ids: whose an order is, and that no two are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from lab.core.errors import ConfigError

__all__ = ["order_id", "own_prefix"]

_ID_LENGTH: Final = 36


def own_prefix(account: str, portfolio: str) -> str:
    """Return what every client order id of a portfolio begins with, and those of no other one.

    Examples
    --------
    >>> own_prefix("main", "core")
    'core-9ef4'
    """
    head = "".join(c for c in portfolio if c.isascii() and (c.isalnum() or c in "-_"))[:8]
    if not head:
        raise ConfigError(f"order ids: portfolio {portfolio!r} has no letter or digit")
    return f"{head}-{_hashed((account, portfolio))[:4]}"


def order_id(parts: Sequence[str]) -> str:
    """Return the client order id of a scope: the portfolio's prefix and a hash; 36 characters.

    Parameters
    ----------
    parts : sequence of str
        Account, portfolio, tick or command, the journal's head at the plan, market, side, slice, replacement,
        attempt.

    Examples
    --------
    >>> order_id(["main", "core", "t1", "head", "BTC/USDT", "buy", "0", "0", "0"])
    'core-9ef4b745d020237d887662f296d27da'
    """
    account, portfolio = parts[:2]
    return f"{own_prefix(account, portfolio)}{_hashed(parts)}"[:_ID_LENGTH]


def _hashed(parts: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
