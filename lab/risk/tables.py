"""The tables of limits: groups of markets, instances and families, circuit breakers; codes and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.market import Market
from lab.core.settings import BreakerRule, PortfolioRiskSettings, RiskSettings
from lab.core.sleeves import Sleeve

__all__ = [
    "ACTIONS",
    "MEASURES",
    "NO_BREAKERS",
    "NO_CAPS",
    "NO_GROUPS",
    "NO_SCOPES",
    "NO_SLEEVES",
    "RESETS",
    "Breaker",
    "breaker_table",
    "breakers_of",
    "families_of",
    "group_names",
    "group_tables",
    "scope_table",
    "sleeve_table",
]

Figures = NDArray[np.float64]
Codes = NDArray[np.int64]

# Periods are numbered like the measures, so that a code is its own period.
MEASURES: Final = ("daily_loss", "weekly_loss", "monthly_loss", "drawdown")
RESETS: Final = ("day", "week", "month", "person")
ACTIONS: Final = ("none", "no_entries", "reduce_only", "halt")
ACCOUNT: Final = -1


class Breaker(NamedTuple):
    """A row of the table with its names: ``scope`` is ``portfolio``, ``family NAME`` or ``instance NAME``."""

    scope: str
    place: int
    measure: str
    at: float
    action: str
    reset: str

    @property
    def key(self) -> str:
        """What tells it from the others of a table, whatever its figure."""
        return f"{self.scope} {self.measure} {self.action} {self.reset}"


def _empty(shape: tuple[int, ...], kind: type) -> NDArray[Any]:
    table: NDArray[Any] = np.zeros(shape, dtype=kind)
    table.flags.writeable = False
    return table


NO_GROUPS: Final[Codes] = _empty((0, 0), np.int64)
NO_CAPS: Final[Figures] = _empty((0,), np.float64)
NO_SLEEVES: Final[Codes] = _empty((0, 2), np.int64)
NO_SCOPES: Final[Figures] = _empty((0, 3), np.float64)
NO_BREAKERS: Final[Figures] = _empty((0, 5), np.float64)


def _frozen(rows: Any, empty: NDArray[Any]) -> NDArray[Any]:
    """Return rows as a read-only table of the type of `empty`, which is what no rows are."""
    if not len(rows):
        return empty
    table = np.ascontiguousarray(rows, dtype=empty.dtype)
    table.flags.writeable = False
    return table


def families_of(sleeves: Sequence[Sleeve]) -> tuple[str, ...]:
    """Return the families in the order of their first instance."""
    return tuple(dict.fromkeys(sleeve.family for sleeve in sleeves))


def sleeve_table(sleeves: Sequence[Sleeve]) -> Codes:
    """Return family and priority of each instance, shape (K, 2)."""
    families = families_of(sleeves)
    return _frozen([(families.index(one.family), one.priority) for one in sleeves], NO_SLEEVES)


def scope_table(settings: RiskSettings | PortfolioRiskSettings, sleeves: Sequence[Sleeve]) -> Figures:
    """Return cap, largest number of markets and allocation of instances, then families, shape (K + F, 3)."""
    if not sleeves or not isinstance(settings, PortfolioRiskSettings):
        return NO_SCOPES
    each, together = settings.max_positions_per_instance, settings.max_positions_per_family
    rows = [
        (max(settings.max_instance_pct, one.allocation), math.inf if each is None else each, one.allocation)
        for one in sleeves
    ]
    for family in families_of(sleeves):
        own = [one for one in sleeves if one.family == family]
        named = [one.family_cap for one in own if one.family_cap is not None]
        cap = named[0] if named else settings.family_cap(family)
        total = math.fsum(one.allocation for one in own)
        rows.append((cap, math.inf if together is None else together, total))
    return _frozen(rows, NO_SCOPES)


def group_names(markets: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the groups' names, and of each market the places of its asset, exchange and currency.

    Examples
    --------
    >>> group_names(["binance:BTC/USDT", "kraken:BTC/USD"])[0]
    ('asset BTC', 'exchange binance', 'currency USDT', 'exchange kraken', 'currency USD')
    """
    parsed = [Market.parse(name) for name in markets]
    named = [(f"asset {m.base}", f"exchange {m.exchange}", f"currency {m.quote}") for m in parsed]
    names = tuple(dict.fromkeys(name for row in named for name in row))
    return names, tuple(tuple(names.index(name) for name in row) for row in named)


def group_tables(
    settings: RiskSettings | PortfolioRiskSettings, markets: Sequence[str]
) -> tuple[Codes, Figures]:
    """Return each market's groups, shape (3, N), and the groups' caps; empty for an instance's account.

    The one market of its base currency has the cap of a market already: its asset has none.
    """
    if not isinstance(settings, PortfolioRiskSettings) or not markets:
        return NO_GROUPS, NO_CAPS
    names, places = group_names(markets)
    caps = {
        "asset": settings.max_weight_per_asset,
        "exchange": settings.max_exchange_pct,
        "currency": settings.max_currency_pct,
    }
    table = np.array(places, dtype=np.int64).T
    figures = [
        1.0 if name.startswith("asset") and (table == g).sum() < 2 else caps[name.split()[0]]
        for g, name in enumerate(names)
    ]
    return _frozen(table, NO_GROUPS), _frozen(figures, NO_CAPS)


def breakers_of(
    settings: RiskSettings | PortfolioRiskSettings, sleeves: Sequence[Sleeve]
) -> tuple[Breaker, ...]:
    """Return the rows of the table of breakers: one per family and instance where a rule is about them."""
    rules = list(settings.breakers)
    if isinstance(settings, RiskSettings):
        rules += [] if settings.max_drawdown_pct is None else [_drawdown(settings.max_drawdown_pct)]
        return tuple(_row(rule, "portfolio", ACCOUNT, rule.at_pct) for rule in rules)
    rows: list[Breaker] = []
    for rule in rules:
        if rule.scope == "portfolio":
            rows.append(_row(rule, "portfolio", ACCOUNT, rule.at_pct))
        elif rule.scope == "family":
            names = families_of(sleeves)
            rows += [_row(rule, f"family {f}", len(sleeves) + i, rule.at_pct) for i, f in enumerate(names)]
        else:
            rows += [_own_row(rule, place, one) for place, one in enumerate(sleeves)]
    if not any(rule.scope == "instance" and rule.measure == "drawdown" for rule in rules):
        for place, one in enumerate(sleeves):
            if one.max_drawdown is not None:
                rows.append(_own_row(_drawdown(one.max_drawdown), place, one))
    return tuple(rows)


def breaker_table(settings: RiskSettings | PortfolioRiskSettings, sleeves: Sequence[Sleeve]) -> Figures:
    """Return :func:`breakers_of` as numbers, shape (B, 5)."""
    rows = [
        (row.place, MEASURES.index(row.measure), row.at, ACTIONS.index(row.action), RESETS.index(row.reset))
        for row in breakers_of(settings, sleeves)
    ]
    return _frozen(rows, NO_BREAKERS)


def _row(rule: BreakerRule, scope: str, place: int, at: float) -> Breaker:
    return Breaker(scope, place, rule.measure, at, rule.action, rule.reset)


def _own_row(rule: BreakerRule, place: int, one: Sleeve) -> Breaker:
    own = one.max_drawdown if rule.measure == "drawdown" else None
    return _row(rule, f"instance {one.name}", place, rule.at_pct if own is None else own)


def _drawdown(at: float) -> BreakerRule:
    return BreakerRule(scope="instance", measure="drawdown", at_pct=at, action="reduce_only", reset="month")
