"""Limits of one account with the names of all they are about: what reports and journals need beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.core.sleeves import Sleeve
from lab.costs import Costs
from lab.risk.limits import Limits
from lab.risk.tables import Breaker, breakers_of, families_of, group_names

__all__ = ["RiskPlan", "plan_of"]


@dataclass(frozen=True, slots=True, eq=False)
class RiskPlan:
    """What is enforced on an account, and the names of its parts.

    Attributes
    ----------
    limits : Limits
        What :func:`lab.risk.step` takes.
    markets : tuple of str, length N
        In the order of weights.
    instances, families : tuple of str, lengths K and F
        In the order of the rows of ``limits.scopes``.
    groups : tuple of str, length G
        ``asset BTC``, ``exchange binance``, ``currency USDT``: in the order of ``limits.group_caps``.
    breakers : tuple of Breaker, length B
        In the order of ``limits.breakers``.
    """

    limits: Limits
    markets: tuple[str, ...]
    instances: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    breakers: tuple[Breaker, ...] = ()

    @property
    def scopes(self) -> tuple[str, ...]:
        """``instance NAME`` and ``family NAME``, in the order of the rows of ``limits.scopes``."""
        instances = (f"instance {name}" for name in self.instances)
        return (*instances, *(f"family {name}" for name in self.families))


def plan_of(
    settings: RiskSettings | PortfolioRiskSettings,
    *,
    costs: Costs | None = None,
    markets: Sequence[str],
    sleeves: Sequence[Sleeve] = (),
) -> RiskPlan:
    """Return what a file's ``risk`` section enforces on an account of `markets`.

    Parameters
    ----------
    settings, costs, markets, sleeves
        See :meth:`lab.risk.Limits.from_settings`.

    Examples
    --------
    >>> plan = plan_of(PortfolioRiskSettings(), markets=["binance:BTC/USDT", "binance:BTC/EUR"])
    >>> dict(zip(plan.groups, plan.limits.group_caps.tolist()))
    {'asset BTC': 0.3, 'exchange binance': 0.6, 'currency USDT': 1.0, 'currency EUR': 1.0}
    """
    limits = Limits.from_settings(settings, costs, markets, sleeves)
    groups = group_names(markets)[0] if limits.groups.size else ()
    return RiskPlan(
        limits,
        tuple(markets),
        tuple(one.name for one in sleeves),
        families_of(sleeves),
        groups,
        breakers_of(settings, sleeves),
    )
