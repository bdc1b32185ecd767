"""Many simulations on the same bars: what they share is prepared once, what is kept is a row of figures."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest import friction, kernel, layout, lean
from lab.backtest.figures import (
    COUNT,
    GROWTH,
    PARTS,
    figures_alone,
    figures_of,
    figures_of_growth,
    product_of_changes,
)
from lab.backtest.lanes import LANES, network, run_lanes
from lab.backtest.layout import Array, Codes
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, frozen
from lab.backtest.simulate import check_account, terms_of
from lab.backtest.survey import FAULT, NONE, survey
from lab.backtest.watching import watch_of
from lab.core.errors import ConfigError
from lab.costs import Costs
from lab.risk import Limits

__all__ = ["Batch", "Decision", "metric_columns"]

_LARGEST_SUM: Final = 1.0 + 1e-9
_NOTHING: Final = np.empty((0, 4))
_NO_CODES: Final = np.empty((0, 4), dtype=np.int64)
# Lanes pay where more than this share of the rows trades many markets, and for no fewer sets than this.
_CROWDED: Final = 0.25
_FEWEST: Final = 8
# Weights of one thread that wait for the others of their lanes, in bytes.
_MOST_WAITING: Final = 2**27


class Decision(NamedTuple):
    """Sound weights (T, N), what each row decides (see ``survey``), rows that do, and for many."""

    weights: Array
    rows: Codes
    found: int
    crowded: int

    def rows_from(self, start: int) -> Decision:
        """Return the decisions without the first `start` rows, which decide nothing."""
        if start == 0:
            return self
        return Decision(self.weights[start:], self.rows[start:], self.found, self.crowded)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Prices, terms and wanted metrics of many simulations.

    Attributes
    ----------
    prices : ExecutionPrices
        Shared by all.
    terms, costs : Terms, Costs
        Costs, capital, lag and limits, the same for all.
    alone : bool
        Whether every market is an account of its own, with the whole capital.
    wanted : int
        Parts of the metrics to compute.
    """

    prices: ExecutionPrices
    terms: layout.Terms
    costs: Costs
    alone: bool
    wanted: int
    _tape: layout.Tape
    _rates: layout.Rates
    _never: NDArray[np.bool_]
    _counted: NDArray[np.int64] | None

    @classmethod
    def of(
        cls,
        prices: ExecutionPrices,
        *,
        costs: Costs,
        limits: Limits | None,
        cash: float,
        lag: int,
        metrics: Sequence[str],
        alone: bool = False,
        counted: NDArray[np.int64] | None = None,
    ) -> Batch:
        """Prepare simulations on `prices`; figures are of the bars at `counted`, by default of all."""
        check_account(cash, lag, prices.at)
        wanted = 0
        for column in metric_columns(metrics):
            wanted |= PARTS[column]
        never = np.zeros(len(prices), dtype=np.bool_)
        never.flags.writeable = False
        mark, last = (frozen(np.nan_to_num(values)) for values in (prices.mark, prices.last))
        tape = prices.tape._replace(mark=mark, last=last)
        rates = layout.Rates(lag, costs.fee, costs.slippage, float(cash))
        watch = watch_of(prices, limits)
        terms = terms_of(costs, limits, cash, lag, watch)
        return cls(prices, terms, costs, alone, wanted, tape, rates, never, counted)

    @property
    def accounts(self) -> int:
        """Accounts of one simulation: one, or one per market."""
        return len(self.prices.markets) if self.alone else 1

    @property
    def counted_bars(self) -> int:
        """Bars that figures are of."""
        return len(self.prices) if self._counted is None else len(self._counted)

    @property
    def scratch(self) -> int:
        """Bytes of working memory of one simulation, weights included."""
        rows, columns = self.prices.shape
        return 8 * rows * (columns * (1 + 4 * self.alone) + 6) + rows

    @property
    def together(self) -> int:
        """Simulations that a thread should be given at a time."""
        return max(min(LANES, _MOST_WAITING // max(self.scratch, 1)), 1)

    def survey(self, weights: Array, waits: NDArray[np.bool_] | None, warm_up: int) -> Decision | None:
        """Return what read-only `weights` decide; None if one cannot be held."""
        rows = np.empty(len(weights), dtype=np.int64)
        largest = float(len(self.prices.markets)) if self.alone else _LARGEST_SUM
        flags = self._never if waits is None else waits
        found, crowded = survey(weights, flags, warm_up, largest, rows)
        return None if found == FAULT else Decision(weights, rows, found, crowded)

    def figures(self, decisions: Iterable[Decision], count: int, kept: Array | None = None) -> Array:
        """Return the metrics of `count` simulations, shape (count * accounts, COUNT).

        Decisions are taken one by one; those that wait for others to fill the lanes are few. The returns of
        shared accounts are copied to `kept`, shape (count, T), where that is given.
        """
        values = np.empty((count * self.accounts, COUNT))
        risky = self.terms.limited or not self.costs.simple
        least = np.inf if self.alone or risky else _CROWDED * len(self.prices)
        waiting: dict[int, Decision] = {}
        for place, decision in enumerate(decisions):
            if decision.crowded > least:
                waiting[place] = decision
                if len(waiting) == LANES:
                    self._in_lanes(waiting, values, kept)
                    waiting = {}
            elif risky:
                self._with_risk(place, decision, values, kept)
            else:
                self._single(place, decision, values, kept)
        if len(waiting) >= _FEWEST:
            self._in_lanes(waiting, values, kept)
        else:
            for place, decision in waiting.items():
                self._single(place, decision, values, kept)
        return values

    def _outputs(self, columns: int, keep: bool) -> tuple[Array, Array, Array]:
        """Return arrays for returns, other figures and growth; the first two may stay empty."""
        rows = len(self.prices)
        others = rows if self.wanted & PARTS[METRICS.index("turnover")] else 0
        returns = rows if keep or self._counted is not None or self.wanted & ~GROWTH else 0
        return np.empty((returns, columns)), np.empty((lean.OTHERS, others, columns)), np.empty(columns)

    def _single(self, place: int, decision: Decision, values: Array, kept: Array | None) -> None:
        outputs = self._outputs(self.accounts, kept is not None)
        run = lean.run_alone if self.alone else lean.run_shared
        run(self._tape, decision.weights, decision.rows, self._rates, *outputs)
        outputs = self._counting(*outputs)
        if kept is not None:
            kept[place] = outputs[0][:, 0]
        values[place * self.accounts : (place + 1) * self.accounts] = self._measured(*outputs)

    def _in_lanes(self, chosen: Mapping[int, Decision], values: Array, kept: Array | None) -> None:
        places, decisions = list(chosen), list(chosen.values())
        rows = np.full((LANES, len(self.prices)), NONE)
        for lane, decision in enumerate(decisions):
            rows[lane] = decision.rows
        # Lanes without a set decide nothing.
        weights = tuple(decisions[min(lane, len(places) - 1)].weights for lane in range(LANES))
        outputs = self._outputs(LANES, kept is not None)
        exchanges = network(self.prices.shape[1])
        run_lanes(self._tape, weights, rows, self._rates, exchanges, *outputs)
        outputs = self._counting(*outputs)
        if kept is not None:
            kept[places] = outputs[0][:, : len(places)].T
        values[places] = self._measured(*outputs)[: len(places)]

    def _counting(self, returns: Array, others: Array, growth: Array) -> tuple[Array, Array, Array]:
        """Return the rows that count, of arrays as of ``lean.run_shared``."""
        if self._counted is None:
            return returns, others, growth
        part = returns[self._counted]
        rest = others[:, self._counted] if others.shape[1] else others
        return part, rest, np.array([product_of_changes(frozen(column)) for column in part.T])

    def _measured(self, returns: Array, others: Array, growth: Array) -> Array:
        year = self.prices.timeframe.periods_per_year
        if not returns.size:
            return figures_of_growth(frozen(growth), len(self.prices), year, self.wanted)
        if len(growth) == 1:
            one, its_others = frozen(returns[:, 0]), frozen(others[:, :, 0])
            return figures_of(one, its_others, float(growth[0]), year, self.wanted)[None, :]
        return figures_alone(frozen(returns), frozen(others), frozen(growth), year, self.wanted)

    def _with_risk(self, place: int, decision: Decision, values: Array, kept: Array | None) -> None:
        weights = frozen(np.where((decision.rows != NONE)[:, None], decision.weights, np.nan))
        if not self.alone:
            values[place] = self._general(self.prices, weights, None if kept is None else kept[place])
            return
        for i in range(self.accounts):
            part = slice(i, i + 1)
            prices, column = self.prices.columns(part), frozen(weights[:, part])
            values[place * self.accounts + i] = self._general(prices, column, None)

    def _general(self, prices: ExecutionPrices, decided: Array, kept: Array | None) -> Array:
        path = np.empty((layout.PATH_ROWS, len(prices)))
        out = layout.Outputs(path, _NOTHING, _NOTHING, _NO_CODES, _NO_CODES, _NOTHING)
        if self.costs.simple:
            kernel.run(prices.tape, decided, self.terms, out)
        else:
            market = friction.frictions_of(prices, self.costs)
            friction.run_with_frictions(prices.tape, decided, self.terms, market, out, _NOTHING)
        growth = np.array([path[layout.EQUITY, -1] / self.terms.cash if len(prices) else 1.0])
        outputs = self._counting(path[layout.RETURN][:, None], path[layout.TURNOVER :, :, None], growth)
        if kept is not None:
            kept[:] = outputs[0][:, 0]
        return self._measured(*outputs)[0]


def metric_columns(metrics: Sequence[str]) -> list[int]:
    """Return the places of `metrics` in METRICS.

    Raises
    ------
    ConfigError
        If there is no metric of that name.
    """
    for name in metrics:
        if name not in METRICS:
            near = difflib.get_close_matches(name, METRICS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"metric {name!r} unknown; {hint}metrics are {', '.join(METRICS)}")
    return [METRICS.index(name) for name in metrics]
