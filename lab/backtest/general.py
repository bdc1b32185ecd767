"""Simulations of the general kernels on the same bars: what the lean accounts leave out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.backtest import kernel, layout
from lab.backtest.friction import frictions_of, run_with_frictions
from lab.backtest.layout import Array, Frictions, Terms
from lab.backtest.prices import ExecutionPrices
from lab.backtest.simulate import terms_of
from lab.backtest.watching import watch_of
from lab.costs import Costs
from lab.risk import Limits

__all__ = ["GeneralAccount", "accounts_of"]

_NOTHING = np.empty((0, 4))
_NO_CODES = np.empty((0, 4), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class GeneralAccount:
    """Prices and terms of one account, and what its markets do to orders where that is not simple."""

    prices: ExecutionPrices
    terms: Terms
    frictions: Frictions | None

    def path(self, decided: Array) -> Array:
        """Return the figures per bar, shape (PATH_ROWS, T), of read-only weights (T, N)."""
        path = np.empty((layout.PATH_ROWS, len(self.prices)))
        out = layout.Outputs(path, _NOTHING, _NOTHING, _NO_CODES, _NO_CODES, _NOTHING)
        if self.frictions is None:
            kernel.run(self.prices.tape, decided, self.terms, out)
        else:
            run_with_frictions(self.prices.tape, decided, self.terms, self.frictions, out, _NOTHING)
        return path


def accounts_of(
    prices: ExecutionPrices, costs: Costs, limits: Limits | None, cash: float, lag: int, *, alone: bool
) -> tuple[GeneralAccount, ...]:
    """Return the account that all markets share, or those of one market each."""
    found = []
    for i, own in enumerate(prices.each() if alone else (prices,)):
        its = limits.of_markets(slice(i, i + 1)) if alone and limits is not None else limits
        terms = terms_of(costs, its, cash, lag, watch_of(own, its))
        found.append(GeneralAccount(own, terms, None if costs.simple else frictions_of(own, costs)))
    return tuple(found)
