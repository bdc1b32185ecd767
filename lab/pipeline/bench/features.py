"""Feature cases: twenty standard indicators, against TA-Lib on two threads and expressions of Polars.

All sides get the same bars in the form that they take (panels, one array per market, wide frames), compute
the same twenty columns for every market and hold them all at the end.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute
from lab.pipeline.bench.harness import Case
from lab.pipeline.bench.indicators import INDICATORS

__all__ = ["CASES"]

Array = NDArray[np.float64]
_THREADS: Final = 2
_ROWS: Final = [-1, -100, -1_000]  # what is compared
_FEW: Final = 2_000  # bars of the run that imports and compiles
_FIELDS: Final = ("open", "high", "low", "close", "volume")


def _history(markets: int = 50, bars: int = 100_000) -> Panel:
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1h")
    number = np.arange(300_000, 300_000 + bars)
    open_ = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.005, (bars, markets)), axis=0))
    close = open_ * np.exp(draw.normal(0, 0.004, open_.shape))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    volume = draw.lognormal(8.0, 1.0, open_.shape)
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(markets))
    fields: dict[str | Feature, Array] = dict(zip(_FIELDS, (open_, high, low, close, volume), strict=True))
    return Panel(grid, number, grid.open_times(number), names, fields)


def _for_talib(bars: int = 100_000) -> tuple[Panel, list[dict[str, Array]]]:
    panel = _history(bars=bars)
    markets = range(len(panel.markets))
    return panel, [{name: np.ascontiguousarray(panel[name][:, j]) for name in _FIELDS} for j in markets]


def _for_polars(bars: int = 100_000) -> tuple[Panel, pl.DataFrame]:
    panel, arrays = _for_talib(bars)
    columns = {
        f"{market}.{name}": values
        for market, each in zip(panel.markets, arrays, strict=True)
        for name, values in each.items()
    }
    return panel, pl.DataFrame(columns)


def _few_for_talib() -> tuple[Panel, list[dict[str, Array]]]:
    return _for_talib(_FEW)


def _few_for_polars() -> tuple[Panel, pl.DataFrame]:
    return _for_polars(_FEW)


def _ours(given: tuple[Panel, Any]) -> Array:
    features = [indicator.ours for indicator in INDICATORS]
    done = compute(given[0], features, workers=_THREADS)
    return np.array([done[feature][_ROWS] for feature in features])


def _talib(given: tuple[Panel, list[dict[str, Array]]]) -> Array:
    import talib

    def of_market(bars: dict[str, Array]) -> list[Array]:
        return [indicator.talib(talib, bars) for indicator in INDICATORS]

    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(of_market, given[1]))
    return np.array([[[column[row] for column in market] for market in done] for row in _ROWS]).transpose(
        2, 0, 1
    )


def _polars(given: tuple[Panel, pl.DataFrame]) -> Array:
    panel, frame = given
    wanted = [
        indicator.polars(market).alias(f"{number}.{market}")
        for number, indicator in enumerate(INDICATORS)
        for market in panel.markets
    ]
    done = frame.select(wanted)
    values = np.array([done.row(row) for row in _ROWS], dtype=np.float64)
    return values.reshape(len(_ROWS), len(INDICATORS), len(panel.markets)).transpose(1, 0, 2)


def _agree(ours: Array, theirs: Array) -> None:
    # The peers carry running sums and endless memories; tolerances are those of the indicators' tests.
    for indicator, left, right in zip(INDICATORS, ours, theirs, strict=True):
        np.testing.assert_allclose(
            left, right, rtol=indicator.tolerance, atol=indicator.tolerance, err_msg=str(indicator.ours)
        )


CASES = (
    Case(
        name="20 indicators, 50 markets x 100,000 bars, 2 threads",
        peer="ta-lib",
        prepare=_for_talib,
        rehearse=_few_for_talib,
        ours=_ours,
        theirs=_talib,
        agree=_agree,
    ),
    Case(
        name="20 indicators, 50 markets x 100,000 bars, expressions",
        peer="polars",
        prepare=_for_polars,
        rehearse=_few_for_polars,
        ours=_ours,
        theirs=_polars,
        agree=_agree,
    ),
)
