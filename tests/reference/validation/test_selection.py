"""Information coefficient and quantiles against scipy, pandas, statsmodels' Newey-West and row loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from lab.validation.selection import information, information_series, quantile_returns

TOL_FLOAT64 = 1e-12


def sample(seed: int, bars: int, markets: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=(bars, markets)), 1)  # rounded, so that there are ties
    later = rng.normal(size=(bars, markets)) + 0.2 * values
    values[rng.random(values.shape) < 0.1] = np.nan
    later[rng.random(later.shape) < 0.1] = np.nan
    return values, later


@pytest.mark.parametrize("seed", range(3))
def test_series_is_scipys_spearman_at_every_bar(seed: int) -> None:
    values, later = sample(seed, 60, 9)
    found = information_series(values, later)
    for row in range(60):
        known = np.isfinite(values[row]) & np.isfinite(later[row])
        if known.sum() >= 5:
            expected = spearmanr(values[row, known], later[row, known]).statistic
            assert found[row] == pytest.approx(expected, rel=TOL_FLOAT64, abs=TOL_FLOAT64)
        else:
            assert math.isnan(found[row])


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_statistic_is_statsmodels_newey_west(horizon: int) -> None:
    import statsmodels.api as sm

    values, later = sample(7, 400, 8)
    row = information({"x": values}, {horizon: later}).row(0, named=True)
    series = information_series(values, later)
    series = series[np.isfinite(series)]
    fitted = sm.OLS(series, np.ones(len(series))).fit(
        cov_type="HAC", cov_kwds={"maxlags": horizon - 1, "use_correction": False}
    )
    assert row["ic"] == pytest.approx(float(fitted.params[0]), rel=TOL_FLOAT64)
    assert row["t_statistic"] == pytest.approx(float(fitted.tvalues[0]), rel=1e-9)


def test_over_time_is_pandas_rank_correlation_market_by_market() -> None:
    values, later = sample(9, 300, 3)
    row = information({"x": values}, {1: later}).row(0, named=True)
    each = [
        pd.Series(values[:, market]).corr(pd.Series(later[:, market]), method="spearman")
        for market in range(3)
    ]
    assert row["ic"] == pytest.approx(np.mean(each), rel=1e-10)
    assert row["deviation"] == pytest.approx(np.std(each, ddof=1), rel=1e-10)


def test_quantiles_are_a_row_loops() -> None:
    values, later = sample(11, 80, 13)
    groups: dict[int, list[float]] = {}
    for row in range(80):
        known = [m for m in range(13) if np.isfinite(values[row, m]) and np.isfinite(later[row, m])]
        ordered = sorted(known, key=lambda m: (values[row, m], m))
        for place, market in enumerate(ordered):
            if len(ordered) >= 4:
                groups.setdefault(place * 4 // len(ordered) + 1, []).append(later[row, market])
    found = quantile_returns(values, later, quantiles=4)
    assert found["quantile"].to_list() == sorted(groups)
    for row in found.iter_rows(named=True):
        own = groups[row["quantile"]]
        assert row["samples"] == len(own)
        assert row["mean"] == pytest.approx(np.mean(own), rel=1e-10)
        assert row["median"] == pytest.approx(np.median(own), rel=1e-10)
