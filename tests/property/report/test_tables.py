"""What holds for every return series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.backtest import compute_metrics
from lab.report import tables

RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=120)


def account(returns: list[float]) -> pl.DataFrame:
    first = datetime(2023, 12, 15, tzinfo=UTC)
    ts = pl.Series([first + timedelta(days=day) for day in range(len(returns))]).cast(
        pl.Datetime("us", "UTC")
    )
    return pl.DataFrame({"ts": ts, "return": returns}).with_columns(
        wealth=(1 + pl.col("return")).cum_prod(), benchmark_return=pl.lit(None, dtype=pl.Float64)
    )


@given(RETURNS)
def test_months_and_years_multiply_up_to_the_whole(returns: list[float]) -> None:
    frame = account(returns)
    whole = float(frame["wealth"][-1])
    months = tables.monthly_returns(frame)
    years = tables.yearly(frame, periods_per_year=365)
    assert float((1 + months["return"]).product()) == pytest.approx(whole, rel=1e-9)
    assert float((1 + years["total_return"]).product()) == pytest.approx(whole, rel=1e-9)
    assert months["bars"].sum() == years["bars"].sum() == len(returns)


@given(RETURNS)
def test_the_deepest_drawdown_is_the_metric(returns: list[float]) -> None:
    found = tables.drawdown_periods(account(returns), worst=1_000)
    metrics = compute_metrics(np.array(returns), periods_per_year=365)
    deepest = float(found["depth"][0]) if found.height else 0.0
    assert deepest == pytest.approx(metrics["max_drawdown"], rel=1e-9, abs=1e-15)
    longest = found["bars"].max() if found.height else 0
    assert longest == metrics["max_drawdown_duration"]


@given(RETURNS)
def test_drawdowns_do_not_overlap(returns: list[float]) -> None:
    found = tables.drawdown_periods(account(returns), worst=1_000).sort("peak")
    for before, after in zip(found.iter_rows(named=True), found[1:].iter_rows(named=True), strict=False):
        assert before["recovered"] is not None
        assert before["recovered"] <= after["peak"] or before["peak"] == after["peak"]
        assert before["trough"] < before["recovered"]


@given(RETURNS, st.integers(4, 60))
def test_thinning_changes_no_extreme(returns: list[float], rows: int) -> None:
    frame = account(returns)
    found = tables.thin(frame, "wealth", rows)
    assert found["wealth"].max() == frame["wealth"].max()
    assert found["wealth"].min() == frame["wealth"].min()
    assert found["ts"][-1] == frame["ts"][-1]
    assert found.height <= max(rows + 4, 6)
