"""What risk needs to know of a portfolio's instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.core.sleeves import Sleeve

if TYPE_CHECKING:
    from lab.strategies.portfolio import Portfolio

__all__ = ["sleeves_of"]


def sleeves_of(portfolio: Portfolio) -> tuple[Sleeve, ...]:
    """Return the portfolio's instances as :func:`lab.risk.plan_of` takes them."""
    return tuple(
        Sleeve(
            one.strategy_id,
            one.strategy.family,
            allocation,
            one.config.priority,
            portfolio.config.family_caps.get(one.strategy.family),
            one.risk.max_drawdown_pct,
        )
        for one, allocation in zip(portfolio.instances, portfolio.allocations, strict=True)
    )
