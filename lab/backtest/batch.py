"""Many simulations on the same bars: what they share is prepared once, what is kept is a row of figures."""

from __future__ import annotations

import difflib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import friction, kernel, layout, lean
from lab.backtest.figures import COUNT, PARTS, figures_alone, figures_of
from lab.backtest.inputs import check_targets
from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName, frozen
from lab.backtest.run import Risk, limits_of
from lab.backtest.simulate import check_account, terms_of
from lab.backtest.watching import watch_of
from lab.core.errors import ConfigError, FrameError
from lab.core.panel import Panel
from lab.costs import Costs
from lab.risk import Limits

__all__ = ["Batch", "Progress", "in_threads", "metric_columns", "simulate_many"]

Progress = Callable[[int, int], None]

# Simulations a thread takes at a time: enough to forget what handing them out costs.
CHUNK: Final = 16
_LARGEST_SUM: Final = 1.0 + 1e-9
_NOTHING: Final = np.empty((0, 4))
_NO_CODES: Final = np.empty((0, 4), dtype=np.int64)

Job = TypeVar("Job")


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
    _mark: Array
    _last: Array
    _never: NDArray[np.bool_]

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
    ) -> Batch:
        """Prepare simulations on `prices`."""
        check_account(cash, lag, prices.at)
        wanted = 0
        for column in metric_columns(metrics):
            wanted |= PARTS[column]
        never = np.zeros(len(prices), dtype=np.bool_)
        never.flags.writeable = False
        mark, last = (frozen(np.nan_to_num(values)) for values in (prices.mark, prices.last))
        terms = terms_of(costs, limits, cash, lag, watch_of(prices, limits))
        return cls(prices, terms, costs, alone, wanted, mark, last, never)

    @property
    def accounts(self) -> int:
        """Accounts of one simulation: one, or one per market."""
        return len(self.prices.markets) if self.alone else 1

    @property
    def scratch(self) -> int:
        """Bytes of working memory of one simulation, weights included."""
        rows, columns = self.prices.shape
        return 8 * rows * (columns * (1 + 4 * self.alone) + 6) + rows

    def survey(
        self, weights: Array, waits: NDArray[np.bool_] | None, warm_up: int
    ) -> NDArray[np.bool_] | None:
        """Return which rows of `weights` decide anything; None if a weight cannot be held."""
        active = np.empty(len(self.prices), dtype=np.bool_)
        largest = float(len(self.prices.markets)) if self.alone else _LARGEST_SUM
        flags = self._never if waits is None else waits
        return None if lean.survey(weights, flags, warm_up, largest, active) == lean.FAULT else active

    def figures(self, weights: Array, active: NDArray[np.bool_], kept: Array | None = None) -> Array:
        """Return the metrics of weights that :meth:`survey` found sound, shape (accounts, COUNT).

        The returns of a shared account are copied to `kept`, shape (T,), where that is given.
        """
        if self.terms.limited or not self.costs.simple:
            return self._with_risk(weights, active, kept)
        rows, columns = self.prices.shape
        terms, price = self.terms, self.prices.price
        others = lean.OTHERS if self.wanted & PARTS[METRICS.index("turnover")] else 0
        shape = (rows, columns) if self.alone else (rows,)
        returns, rest = np.empty(shape), np.empty((others, *shape))
        run = lean.run_alone if self.alone else lean.run_shared
        run(
            price,
            self._mark,
            self._last,
            weights,
            active,
            terms.lag,
            terms.fee,
            terms.slippage,
            terms.cash,
            returns,
            rest,
        )
        if kept is not None:
            kept[:] = returns
        return self._measured(returns, rest)

    def _measured(self, returns: Array, rest: Array) -> Array:
        year = self.prices.timeframe.periods_per_year
        if returns.ndim == 1:
            return figures_of(frozen(returns), frozen(rest), year, self.wanted)[None, :]
        return figures_alone(frozen(returns), frozen(rest), year, self.wanted)

    def _with_risk(self, weights: Array, active: NDArray[np.bool_], kept: Array | None) -> Array:
        decided = frozen(np.where(active[:, None], weights, np.nan))
        if not self.alone:
            return self._general(self.prices, decided, self.terms, kept)
        figures = np.empty((self.accounts, COUNT))
        for i in range(self.accounts):
            part = slice(i, i + 1)
            own = (self.prices.columns(part), frozen(decided[:, part]), self._terms_alone(part))
            figures[i] = self._general(*own, None)[0]
        return figures

    def _terms_alone(self, part: slice) -> layout.Terms:
        limits, watch = self.terms.limits, self.terms.watch
        if limits.neutral:
            return self.terms
        own = watch._replace(markets=frozen(watch.markets[:, :, part]))
        return self.terms._replace(limits=limits.of_markets(part), watch=own)

    def _general(
        self, prices: ExecutionPrices, decided: Array, terms: layout.Terms, kept: Array | None
    ) -> Array:
        path = np.empty((layout.PATH_ROWS, len(self.prices)))
        out = layout.Outputs(path, _NOTHING, _NOTHING, _NO_CODES, _NO_CODES, _NOTHING)
        if self.costs.simple:
            kernel.run(prices.tape, decided, terms, out)
        else:
            market = friction.frictions_of(prices, self.costs)
            friction.run_with_frictions(prices.tape, decided, terms, market, out, _NOTHING)
        if kept is not None:
            kept[:] = path[layout.RETURN]
        return self._measured(path[layout.RETURN], path[layout.TURNOVER :])


def simulate_many(
    panel: Panel | ExecutionPrices,
    weights: Iterable[Array],
    *,
    costs: Costs,
    risk: Risk | None = None,
    metrics: Sequence[str] = METRICS,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
    workers: int | None = None,
) -> pl.DataFrame:
    """Simulate many sets of target weights on the same bars and return their metrics.

    Parameters
    ----------
    panel : Panel or ExecutionPrices
        Bars, or prices prepared from them.
    weights : iterable of ndarray, shape (T, N)
        Decided at each bar's close; NaN keeps the quantity. Taken one by one, so that a generator of a
        million sets needs the memory of a few.
    costs, risk, cash, price, lag
        See :func:`~lab.backtest.run_backtest`.
    metrics : sequence of str
        Some of :data:`~lab.backtest.metrics.METRICS`; only what they need is computed.
    workers : int, optional
        Threads; by default one per processor. The result does not depend on it.

    Returns
    -------
    polars.DataFrame
        One row per set, in order, one column per metric; the bits of :func:`~lab.backtest.run_backtest`.

    Raises
    ------
    WeightError
        If weights are infinite, negative or sum to more than 1 + 1e-9; names bar and market.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.datetime64("2024-01-01", "us") + np.arange(3) * np.timedelta64(1, "D")
    >>> frame = pl.DataFrame({"ts": days, "market": "synthetic:AAA/USDT", "close": [10.0, 10.0, 12.0]})
    >>> frame = frame.with_columns(pl.col("ts").dt.replace_time_zone("UTC"), open=pl.col("close"))
    >>> halves = [np.full((3, 1), weight) for weight in (0.0, 0.5)]
    >>> free = Costs(fee_bps=0.0, slippage_bps=0.0)
    >>> simulate_many(Panel.from_frame(frame), halves, costs=free, metrics=["total_return"]).rows()
    [(0.0,), (0.10000000000000009,)]
    """
    prices = panel if isinstance(panel, ExecutionPrices) else ExecutionPrices.from_panel(panel, price)
    limits = limits_of(risk, costs, prices.markets)
    batch = Batch.of(prices, costs=costs, limits=limits, cash=cash, lag=lag, metrics=metrics)
    columns = metric_columns(metrics)

    def run(sets: list[Array]) -> Array:
        return np.vstack([_checked(batch, one)[:, columns] for one in sets])

    found = list(in_threads(run, weights, workers=workers))
    table = np.vstack(found) if found else np.empty((0, len(columns)))
    return pl.DataFrame(dict(zip(metrics, table.T.copy(), strict=True)))


def _checked(batch: Batch, weights: Array) -> Array:
    if weights.shape != batch.prices.shape:
        raise FrameError(f"weights have shape {weights.shape}, expected {batch.prices.shape}: bars x markets")
    values = frozen(weights)
    active = batch.survey(values, None, 0)
    if active is None:
        check_targets(values, batch.prices.ts, batch.prices.markets)
        active = np.asarray(~np.isnan(values).all(axis=1))  # a single weight above 1 by rounding
    return batch.figures(values, active)


def in_threads(
    run: Callable[[list[Job]], Any], jobs: Iterable[Job], *, workers: int | None, chunk: int = CHUNK
) -> Iterator[Any]:
    """Yield ``run(chunk)`` for chunks of `jobs`, in order; few chunks are under way at any time.

    Jobs are made by the calling thread while the others work.
    """
    threads = (os.cpu_count() or 1) if workers is None else workers
    source = iter(jobs)
    chunks = iter(lambda: list(islice(source, chunk)), [])
    if threads <= 1:
        yield from map(run, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Any]] = deque()
        for part in chunks:
            waiting.append(pool.submit(run, part))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
