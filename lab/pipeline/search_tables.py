"""The tables that are kept with a search, beside those of any backtest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from lab.backtest import run_backtest
from lab.core.panel import Panel
from lab.pipeline.decisions import recent_decisions
from lab.pipeline.inputs import Inputs
from lab.pipeline.parts import parameters_of
from lab.search import WalkForwardResult

__all__ = ["rows_between", "search_tables"]

Table = pl.DataFrame | Callable[[], pl.DataFrame]


def search_tables(inputs: Inputs, found: WalkForwardResult) -> dict[str, Table]:
    """Return folds, trials, the first winner on the bars it was chosen on, and what PBO is made of."""
    tables: dict[str, Table] = {
        "folds": found.folds,
        "trials": found.trial_table.frame,
        "in_sample": _in_sample(inputs, found),
    }
    tables["diagnostics"] = recent_decisions(inputs.instance.with_params(found.best_params), inputs.panel)
    if found.pbo_logits is not None:
        tables["pbo"] = pl.DataFrame({"logit": found.pbo_logits})
    if found.pbo_moments is not None:
        tables["pbo_moments"] = found.pbo_moments
    return tables


def _in_sample(inputs: Inputs, found: WalkForwardResult) -> pl.DataFrame:
    """Return equity of the first fold's winner from its first training bar to the out-of-sample path."""
    first = found.folds.row(0, named=True)
    winner = inputs.instance.with_params(parameters_of(first))
    whole = inputs.panel
    part = rows_between(whole, pl.Series([first["train_start"], first["test_start"]]))
    weights = winner.decide(whole)[int(part.bar[0] - whole.bar[0]) :][: len(part)]
    return run_backtest(part, weights, costs=winner.costs, risk=winner.risk).equity


def rows_between(panel: Panel, ts: pl.Series) -> Panel:
    """Return the bars of `panel` from the first to the last of some times."""
    times = ts.dt.replace_time_zone(None).to_numpy()
    first, last = np.searchsorted(panel.ts, times[[0, -1]])
    return panel.rows(int(first), int(last) + 1)
