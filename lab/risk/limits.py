"""The limits that the risk step enforces, as one frozen value of numbers and small tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.core.sleeves import Sleeve
from lab.costs import Costs
from lab.risk.tables import (
    NO_BREAKERS,
    NO_CAPS,
    NO_GROUPS,
    NO_SCOPES,
    NO_SLEEVES,
    breaker_table,
    group_tables,
    scope_table,
    sleeve_table,
)

__all__ = ["Limits"]

Figures = NDArray[np.float64]
Codes = NDArray[np.int64]


class Limits(NamedTuple):
    """Figures of one risk step. Every fraction is of equity at the marks, before the step's own trades.

    The numbers are floats and the tables read-only, so that compiled code can take the value as it is, in one
    version. Write the tables through :meth:`from_settings`.

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
    min_cash : float
        Cash that buys leave, costs paid.
    trade_risk : float
        Largest product of a buy's weight and the market's volatility (or distance to its stop); inf: any. A
        volatility that is not known counts as 1: all of it may be lost.
    volume_share : float
        Largest buy as a fraction of the market's mean traded value per bar; inf: any. A mean that is not
        known counts as 0.
    max_positions : float
        Markets held at a time; inf: any.
    groups : ndarray of int64, shape (3, N)
        Group of each market by base currency, by exchange and by quote currency, as places in `group_caps`;
        shape (0, 0): no groups.
    group_caps : ndarray of float64, shape (G,)
        Largest sum of weights of each group.
    sleeves : ndarray of int64, shape (K, 2)
        Family (a number from 0) and priority of each instance.
    scopes : ndarray of float64, shape (K + F, 3)
        Largest sum of weights, largest number of markets and allocation of instances, then of families.
    breakers : ndarray of float64, shape (B, 5)
        Scope (-1 the account, else a row of `scopes`), measure, fraction lost, action, reset: codes of
        :mod:`lab.risk.tables`.

    Examples
    --------
    >>> Limits.from_settings(RiskSettings(max_position_pct=0.3), Costs(10.0, 0.0)).cost_rate
    0.0009999999999998899
    >>> Limits(max_position=0.3).neutral, Limits(trade_risk=0.005).neutral
    (True, False)
    """

    max_position: float = 1.0
    max_exposure: float = 1.0
    rebalance_band: float = 0.0
    min_order: float = 0.0
    max_daily_loss: float = 1.0
    cost_rate: float = 0.0
    min_cash: float = 0.0
    trade_risk: float = math.inf
    volume_share: float = math.inf
    max_positions: float = math.inf
    groups: Codes = NO_GROUPS
    group_caps: Figures = NO_CAPS
    sleeves: Codes = NO_SLEEVES
    scopes: Figures = NO_SCOPES
    breakers: Figures = NO_BREAKERS

    @property
    def neutral(self) -> bool:
        """Whether the figures up to `min_cash` are all there is: no table, and no memory but the day's."""
        tables = self.groups.size + self.sleeves.size + self.breakers.size
        return tables == 0 and min(self.trade_risk, self.volume_share, self.max_positions) == math.inf

    def of_markets(self, part: slice) -> Limits:
        """Return the limits of an account that trades a part of the markets, by position."""
        if not self.groups.size:
            return self
        groups = np.ascontiguousarray(self.groups[:, part])
        groups.flags.writeable = False
        return self._replace(groups=groups)

    @classmethod
    def from_settings(
        cls,
        settings: RiskSettings | PortfolioRiskSettings,
        costs: Costs | None = None,
        markets: Sequence[str] = (),
        sleeves: Sequence[Sleeve] = (),
    ) -> Limits:
        """Return the limits of an instance or portfolio file.

        Parameters
        ----------
        settings : RiskSettings or PortfolioRiskSettings
            The ``risk`` section.
        costs : Costs, optional
            What the account will pay, reserved before buying. Without it nothing is reserved, and a full
            allocation runs out of cash by its costs.
        markets : sequence of str
            Markets of the account, in the order of its weights. Without them there are no groups.
        sleeves : sequence of Sleeve
            Instances of the account, in the order of the parts that the state is shown; none for an account
            of one instance.
        """
        groups, caps = group_tables(settings, markets)
        return cls(
            max_position=float(_largest(settings)),
            max_exposure=float(settings.max_exposure_pct),
            rebalance_band=float(settings.rebalance_band_pct),
            min_order=float(settings.min_order_pct),
            max_daily_loss=float(settings.max_daily_loss_pct),
            cost_rate=0.0 if costs is None else costs.rate,
            min_cash=float(settings.min_cash_pct),
            trade_risk=_or_any(settings.max_trade_risk_pct),
            volume_share=_or_any(settings.max_order_volume_pct),
            max_positions=_or_any(settings.max_positions),
            groups=groups,
            group_caps=caps,
            sleeves=sleeve_table(sleeves),
            scopes=scope_table(settings, sleeves),
            breakers=breaker_table(settings, sleeves),
        )


def _largest(settings: RiskSettings | PortfolioRiskSettings) -> float:
    if isinstance(settings, PortfolioRiskSettings):
        return settings.max_weight_per_asset
    return settings.max_position_pct


def _or_any(figure: float | None) -> float:
    return math.inf if figure is None else float(figure)
