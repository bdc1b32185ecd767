"""What else may stop an entry or a live run: feature flags, and how old the known markets are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lab.core.market import Market
from lab.data.discovery import check_listed, require_fresh
from lab.data.flags import Flag, blocking, flags
from lab.strategies import Portfolio
from live_bridge.config import BridgeConfig
from live_bridge.live_locks import OWN_MACHINE
from live_bridge.permission import Permission, Permitted, traded_symbols

__all__ = ["FLAGGED", "blocked_symbols", "require_discovery", "without_entries"]

FLAGGED: Final = "FLAGGED"


def blocked_symbols(root: Path, portfolio: Portfolio, config: BridgeConfig, now: datetime) -> dict[str, Flag]:
    """Return the symbols in which a feature flag allows no entry now, each with the flag.

    A flag on an exchange, market, timeframe, family, instance or a switch that the instance lists under
    ``flags`` blocks every symbol that it has a part in.

    Raises
    ------
    DataError
        If the flags cannot be read: switches that nobody can read are not taken for "all on".
    """
    changes = flags(root, at=now)
    found: dict[str, Flag] = {}
    for instance in portfolio.instances:
        who = {
            "timeframe": instance.timeframe.name,
            "family": instance.strategy.family,
            "instance": instance.strategy_id,
        }
        for market in instance.markets:
            for exchange in (config.exchange.id, Market.parse(market).exchange):
                for switch in ("", *instance.config.flags):
                    for flag in blocking(changes, exchange=exchange, market=market, switch=switch, **who):
                        found[config.symbol(market)] = flag
    return found


def without_entries(permission: Permission, blocked: Mapping[str, Flag]) -> Permission:
    """Return a permission in which blocked symbols may only be reduced."""
    targets = tuple(
        replace(target, permitted=float("nan"), reasons=(*target.reasons, FLAGGED))
        if target.symbol in blocked and _increases(target)
        else target
        for target in permission.targets
    )
    return replace(permission, targets=targets)


def require_discovery(root: Path, portfolio: Portfolio, config: BridgeConfig, now: datetime) -> None:
    """Refuse to trade on an exchange whose markets were last discovered more than a day ago.

    The loopback exchange on this machine is exempt: nobody stores what it lists. Orders are rounded by the
    rules that the exchange states within the run, never by stored ones.

    Raises
    ------
    DataError
        If there is no fresh discovery.
    UnknownMarketError
        If it does not list a market that is traded.
    """
    if urlsplit(config.exchange.base_url or "").hostname in OWN_MACHINE:
        return
    require_fresh(root, config.exchange.id, now)
    timeframes = {instance.timeframe.name for instance in portfolio.instances}
    check_listed(
        root, config.exchange.id, symbols=traded_symbols(portfolio, config), timeframes=sorted(timeframes)
    )


def _increases(target: Permitted) -> bool:
    return target.permitted > target.held
