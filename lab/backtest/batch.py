"""Many simulations on the same bars: what they share is prepared once, what is kept is a row of figures."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest import layout, lean
from lab.backtest.alone import run_alone
from lab.backtest.figures import (
    COUNT,
    GROWTH,
    PARTS,
    figures_alone,
    figures_of,
    figures_of_growth,
    product_of_changes,
)
from lab.backtest.general import GeneralAccount, accounts_of
from lab.backtest.guarded import run_guarded
from lab.backtest.lanes import LANES, network, run_lanes
from lab.backtest.layout import Array, Codes
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, frozen
from lab.backtest.simulate import check_account
from lab.backtest.survey import FAULT, NONE, survey, survey_alone
from lab.core.errors import ConfigError
from lab.costs import Costs
from lab.risk import Limits, Plain, plain_of

__all__ = ["Batch", "Decision", "metric_columns"]

_LARGEST_SUM: Final = 1.0 + 1e-9
# Lanes pay where more than this share of the rows trades many markets, and for no fewer sets than this.
_CROWDED: Final = 0.25
_FEWEST: Final = 8
# Weights of one thread that wait for the others of their lanes, in bytes.
_MOST_WAITING: Final = 2**27


class Decision(NamedTuple):
    """Sound weights (T, N), what each row decides (see ``survey``), rows that do, and for many.

    Of accounts per market without limits, `rows` are the places of the weights that decide (see
    ``survey_alone``), and `found` counts those.
    """

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
    alone : bool
        Whether every market is an account of its own, with the whole capital.
    wanted : int
        Parts of the metrics to compute.
    """

    prices: ExecutionPrices
    alone: bool
    wanted: int
    _rates: layout.Rates
    _tape: layout.Tape
    _tapes: tuple[layout.Tape, ...]
    _plain: Plain | None
    _accounts: tuple[GeneralAccount, ...]
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
        lean_ones = costs.simple and (limits is None or limits.neutral)
        guarded = lean_ones and limits is not None
        tape = prices.lean_tape
        return cls(
            prices,
            alone,
            wanted,
            layout.Rates(lag, costs.fee, costs.slippage, float(cash)),
            tape,
            tuple(part.lean_tape for part in prices.each()) if alone and guarded else (tape,),
            None if limits is None or not guarded else plain_of(limits),
            () if lean_ones else accounts_of(prices, costs, limits, cash, lag, alone=alone),
            never,
            counted,
        )

    @property
    def accounts(self) -> int:
        """Accounts of one simulation: one, or one per market."""
        return len(self.prices.markets) if self.alone else 1

    @property
    def _lean(self) -> bool:
        """Whether neither limits nor frictions act."""
        return self._plain is None and not self._accounts

    @property
    def counted_bars(self) -> int:
        """Bars that figures are of."""
        return len(self.prices) if self._counted is None else len(self._counted)

    @property
    def scratch(self) -> int:
        """Bytes of working memory of one simulation, weights included."""
        rows, columns = self.prices.shape
        return 8 * rows * (columns * (1 + 5 * self.alone) + 6) + rows

    @property
    def together(self) -> int:
        """Simulations that a thread should be given at a time."""
        return max(min(LANES, _MOST_WAITING // max(self.scratch, 1)), 1)

    def survey(self, weights: Array, waits: NDArray[np.bool_] | None, warm_up: int) -> Decision | None:
        """Return what read-only `weights` decide; None if one cannot be held.

        A market of an account of its own waits for no other: of such accounts, `waits` has no row that does.
        """
        if self.alone and self._lean:
            places = np.empty(weights.size, dtype=np.int64)
            count = survey_alone(weights, warm_up, places)
            return None if count == FAULT else Decision(weights, places[:count], count, 0)
        rows = np.empty(len(weights), dtype=np.int64)
        largest = np.inf if self.alone else _LARGEST_SUM
        flags = self._never if waits is None else waits
        found, crowded = survey(weights, flags, warm_up, largest, rows)
        return None if found == FAULT else Decision(weights, rows, found, crowded)

    def figures(self, decisions: Iterable[Decision], count: int, kept: Array | None = None) -> Array:
        """Return the metrics of `count` simulations, shape (count * accounts, COUNT).

        Decisions are taken one by one; those that wait for others to fill the lanes are few. The returns of
        shared accounts are copied to `kept`, shape (count, T), where that is given.
        """
        values = np.empty((count * self.accounts, COUNT))
        single = self._general if self._accounts else self._free if self._lean else self._guarded
        least = _CROWDED * len(self.prices) if self._lean and not self.alone else np.inf
        waiting: dict[int, Decision] = {}
        for place, decision in enumerate(decisions):
            if decision.crowded > least:
                waiting[place] = decision
                if len(waiting) == LANES:
                    self._in_lanes(waiting, values, kept)
                    waiting = {}
            else:
                single(place, decision, values, kept)
        if len(waiting) >= _FEWEST:
            self._in_lanes(waiting, values, kept)
        else:
            for place, decision in waiting.items():
                single(place, decision, values, kept)
        return values

    def _outputs(self, columns: int, keep: bool) -> tuple[Array, Array, Array]:
        """Return arrays for returns, other figures and growth; the first two may stay empty."""
        rows = len(self.prices)
        others = rows if self.wanted & PARTS[METRICS.index("turnover")] else 0
        returns = rows if keep or self._counted is not None or self.wanted & ~GROWTH else 0
        return np.empty((returns, columns)), np.empty((lean.OTHERS, others, columns)), np.empty(columns)

    def _free(self, place: int, decision: Decision, values: Array, kept: Array | None) -> None:
        outputs = self._outputs(self.accounts, kept is not None)
        run = run_alone if self.alone else lean.run_shared
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

    def _guarded(self, place: int, decision: Decision, values: Array, kept: Array | None) -> None:
        """Simulate with plain limits, an account after the other."""
        for i, tape in enumerate(self._tapes):
            weights, rows = decision.weights, decision.rows
            if self.alone:
                weights = frozen(weights[:, i : i + 1])
                rows = np.where(np.isnan(weights[:, 0]), NONE, rows)
            outputs = self._outputs(1, kept is not None)
            run_guarded(tape, weights, rows, self._rates, self._plain, *outputs)
            self._take(place * self.accounts + i, outputs, values, kept)

    def _general(self, place: int, decision: Decision, values: Array, kept: Array | None) -> None:
        weights = frozen(np.where((decision.rows != NONE)[:, None], decision.weights, np.nan))
        for i, account in enumerate(self._accounts):
            path = account.path(frozen(weights[:, i : i + 1]) if self.alone else weights)
            growth = np.array([path[layout.EQUITY, -1] / self._rates.cash if len(self.prices) else 1.0])
            outputs = path[layout.RETURN][:, None], path[layout.TURNOVER :, :, None], growth
            self._take(place * self.accounts + i, outputs, values, kept)

    def _take(self, row: int, outputs: tuple[Array, Array, Array], values: Array, kept: Array | None) -> None:
        """Write the figures of one account, and its returns where they are kept."""
        outputs = self._counting(*outputs)
        if kept is not None:
            kept[row] = outputs[0][:, 0]
        values[row] = self._measured(*outputs)[0]


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
