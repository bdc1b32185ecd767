"""Feature cases: window-local kernels against the rolling expressions of Polars."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute, deviation, highest, mean
from lab.pipeline.bench.harness import Case

__all__ = ["CASES"]

_WINDOW = 50


def _history(markets: int = 50, bars: int = 100_000) -> Panel:
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1h")
    number = np.arange(300_000, 300_000 + bars)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.005, (bars, markets)), axis=0))
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(markets))
    return Panel(grid, number, grid.open_times(number), names, {"close": close})


def _kernels(panel: Panel) -> Any:
    wanted = (mean("close", _WINDOW), deviation("close", _WINDOW), highest("close", _WINDOW))
    done = compute(panel, wanted)
    return [done[feature][-1] for feature in wanted]


def _polars(panel: Panel) -> Any:
    frame = pl.DataFrame(panel["close"], schema=list(panel.markets))
    every = pl.all()
    done = (
        frame.select(every.rolling_mean(_WINDOW)),
        frame.select(every.rolling_std(_WINDOW)),
        frame.select(every.rolling_max(_WINDOW)),
    )
    return [np.array(part.row(-1)) for part in done]


def _agree(ours: Any, theirs: Any) -> None:
    # Polars carries a running sum: its error grows with the length of the history.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


CASES = (
    Case(
        name="mean, deviation, maximum over 50 bars, 50 markets x 100,000 bars",
        peer="polars",
        prepare=_history,
        ours=_kernels,
        theirs=_polars,
        agree=_agree,
    ),
)
