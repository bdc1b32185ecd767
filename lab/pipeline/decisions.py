"""Why an instance decided as it did at its last bars: kept with a run, for its report and for audits."""

from __future__ import annotations

from typing import Final

import polars as pl

from lab.core.panel import Panel
from lab.strategies import StrategyInstance, diagnose

__all__ = ["recent_decisions"]

_BARS: Final = 30


def recent_decisions(instance: StrategyInstance, panel: Panel, bars: int = _BARS) -> pl.DataFrame:
    """Return weights with scores, filters and reasons of the last `bars` bars.

    Parameters
    ----------
    instance : StrategyInstance
        With the parameters that decide.
    panel : Panel
        Its markets. Only the bars that the last ones depend on are looked at.
    bars : int
        At least 1.

    Returns
    -------
    polars.DataFrame
        Long: ``ts, market, weight``, a column per score and filter, ``reasons``; see
        :class:`lab.strategies.Diagnostics`.
    """
    part = panel.tail(min(instance.lookback + bars, len(panel)))
    told = diagnose(instance.strategy, part, instance.params).frame(part)
    first = pl.Series(part.tail(min(bars, len(part))).ts[:1]).dt.replace_time_zone("UTC")[0]
    return told.filter(pl.col("ts") >= first)
