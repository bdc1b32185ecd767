"""Where a backtest's risk stood at its last bar: what budgets are read from."""

from __future__ import annotations

import numpy as np

from lab.backtest.layout import EQUITY, Terms
from lab.backtest.prices import ExecutionPrices, frozen
from lab.backtest.simulate import Trace
from lab.backtest.vectorbt_engine import permit_along
from lab.risk import RiskState

__all__ = ["state_at_end"]


def state_at_end(prices: ExecutionPrices, trace: Trace, terms: Terms) -> RiskState:
    """Return the state after the last bar's risk step: the step is run along the account once more.

    Parameters
    ----------
    prices, trace, terms
        Of the simulation.
    """
    asked = np.full(prices.shape, np.nan)
    asked[: max(len(asked) - terms.lag, 0)] = trace.targets[terms.lag :]
    values = np.where(trace.positions != 0.0, trace.positions * prices.last, 0.0)
    cash = trace.path[EQUITY] - values.sum(axis=1)
    scratch = np.empty(prices.shape)
    return permit_along(trace.positions, cash, prices.tape, frozen(asked), terms, scratch)
