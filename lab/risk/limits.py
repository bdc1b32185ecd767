"""The limits that the risk step enforces, as one frozen value of plain numbers."""

from __future__ import annotations

from typing import NamedTuple

from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.costs import Costs

__all__ = ["Limits"]


class Limits(NamedTuple):
    """Figures of one risk step. Every fraction is of equity at the marks, before the step's own trades.

    The fields are floats, so that compiled code can take the value as it is.

    Attributes
    ----------
    max_position : float
        Largest weight that a trade in one market may lead to.
    max_exposure : float
        Largest sum of weights that trades may lead to.
    rebalance_band : float
        Changes of weight smaller than this are not traded; exits always are.
    min_order : float
        Orders below this fraction of equity are not sent; exits always are.
    max_daily_loss : float
        Loss since the first step of the UTC day that, once reached, leaves only reductions until the next.
    cost_rate : float
        Costs per unit of traded value that are reserved before buying; 0 reserves nothing.

    Examples
    --------
    >>> Limits.from_settings(RiskSettings(max_position_pct=0.3), Costs(10.0, 0.0)).cost_rate
    0.0009999999999998899
    """

    max_position: float = 1.0
    max_exposure: float = 1.0
    rebalance_band: float = 0.0
    min_order: float = 0.0
    max_daily_loss: float = 1.0
    cost_rate: float = 0.0

    @classmethod
    def from_settings(
        cls, settings: RiskSettings | PortfolioRiskSettings, costs: Costs | None = None
    ) -> Limits:
        """Return the limits of an instance or portfolio file.

        Parameters
        ----------
        settings : RiskSettings or PortfolioRiskSettings
            The ``risk`` section.
        costs : Costs, optional
            What the account will pay, reserved before buying. Without it nothing is reserved, and a full
            allocation runs out of cash by its costs.
        """
        largest = (
            settings.max_weight_per_asset
            if isinstance(settings, PortfolioRiskSettings)
            else settings.max_position_pct
        )
        return cls(
            max_position=float(largest),
            max_exposure=float(settings.max_exposure_pct),
            rebalance_band=float(settings.rebalance_band_pct),
            min_order=float(settings.min_order_pct),
            max_daily_loss=float(settings.max_daily_loss_pct),
            cost_rate=0.0 if costs is None else costs.rate,
        )
