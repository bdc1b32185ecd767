"""Returns by month and year, in rolling windows, by regime of the market, and their distribution."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from lab.backtest import compute_metrics
from lab.backtest import regimes as told_regimes
from lab.core.timeframe import Timeframe

__all__ = [
    "bars_in",
    "distribution",
    "histogram",
    "monthly_returns",
    "normal_quantiles",
    "regime_bars",
    "regimes",
    "rolling",
    "span_text",
    "yearly",
]

_YEAR_FIGURES: Final = ("total_return", "annualised_volatility", "sharpe", "max_drawdown")


def _compounded(column: str = "return") -> pl.Expr:
    return ((1.0 + pl.col(column)).product() - 1.0).alias(column)


def monthly_returns(account: pl.DataFrame) -> pl.DataFrame:
    """Return compounded returns by calendar month: ``year, month, return, bars``.

    A bar belongs to the month that it opens in, UTC.

    Examples
    --------
    >>> days = pl.Series(["2024-01-31", "2024-02-01", "2024-02-02"]).str.to_datetime(time_zone="UTC")
    >>> monthly_returns(pl.DataFrame({"ts": days, "return": [0.1, 0.5, -0.5]})).rows()
    [(2024, 1, 0.10000000000000009, 1), (2024, 2, -0.25, 2)]
    """
    return (
        account.group_by(
            year=pl.col("ts").dt.year().cast(pl.Int64), month=pl.col("ts").dt.month().cast(pl.Int64)
        )
        .agg(_compounded(), bars=pl.len().cast(pl.Int64))
        .select("year", "month", pl.col("return"), "bars")
        .sort("year", "month")
    )


def yearly(account: pl.DataFrame, *, periods_per_year: float) -> pl.DataFrame:
    """Return figures by calendar year.

    ``year, total_return, benchmark_return, annualised_volatility, sharpe, max_drawdown, bars``; the drawdown
    is from the highest wealth within the year. A year that the sample covers in part is not scaled up.
    """
    rows = []
    for (year,), part in account.group_by(pl.col("ts").dt.year(), maintain_order=True):
        figures = compute_metrics(part["return"].to_numpy(), periods_per_year=periods_per_year)
        known = part["benchmark_return"].drop_nulls()
        rows.append(
            {
                "year": int(str(year)),
                **{name: figures[name] for name in _YEAR_FIGURES},
                "benchmark_return": float(np.prod(1.0 + known.to_numpy()) - 1.0) if len(known) else None,
                "bars": part.height,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None).sort("year")


def rolling(account: pl.DataFrame, *, window: int, periods_per_year: float) -> pl.DataFrame:
    """Return annualised figures of the last `window` bars: ``ts, sharpe, volatility, beta``.

    Beta is the slope of returns on the benchmark's. Null until a window is full, and where the returns in it
    do not vary.
    """
    root = math.sqrt(periods_per_year)
    own, market = pl.col("return"), pl.col("benchmark_return")
    deviation = own.rolling_std(window)
    # Rolling sums leave a residue after the last varying return has left the window.
    varies = own.rolling_max(window) > own.rolling_min(window)
    covariance = pl.rolling_cov(own, market, window_size=window)
    return account.select(
        "ts",
        sharpe=pl.when(varies).then(own.rolling_mean(window) / deviation * root),
        volatility=pl.when(varies).then(deviation * root).when(varies.not_()).then(0.0),
        beta=pl.when(varies).then(covariance / market.rolling_var(window)).when(varies.not_()).then(0.0),
    )


def histogram(returns: pl.Series, bins: int = 60) -> pl.DataFrame:
    """Return counts in equal bins and those of a normal distribution: ``left, right, count, normal``.

    The outermost bins take what lies beyond five standard deviations, so that one crash does not squeeze the
    rest into a line. Empty for returns that do not vary.
    """
    values = returns.to_numpy()
    mean, deviation = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if not deviation > 0.0:
        schema = dict.fromkeys(("left", "right", "count", "normal"), pl.Float64)
        return pl.DataFrame(schema=schema)
    low = max(float(values.min()), mean - 5 * deviation)
    high = min(float(values.max()), mean + 5 * deviation)
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    cumulative = np.array([0.5 * math.erfc(-(e - mean) / deviation / math.sqrt(2)) for e in edges])
    return pl.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "count": counts.astype(np.float64),
            "normal": np.diff(cumulative) * len(values),
        }
    )


def normal_quantiles(returns: pl.Series, points: int = 400) -> pl.DataFrame:
    """Return sorted returns against a normal distribution of equal mean and deviation: ``normal, observed``.

    At most about `points` of them; the 50 outermost on each side are always kept.
    """
    from scipy.special import ndtri

    values = np.sort(returns.to_numpy())
    count = len(values)
    if count < 2:
        return pl.DataFrame(schema={"normal": pl.Float64, "observed": pl.Float64})
    expected = values.mean() + values.std(ddof=1) * ndtri((np.arange(count) + 0.5) / count)
    keep = np.ones(count, dtype=bool)
    if count > points:
        keep[50:-50] = False
        keep[:: max(count // (points - 100), 1)] = True
    return pl.DataFrame({"normal": expected[keep], "observed": values[keep]})


def distribution(returns: pl.Series) -> pl.DataFrame:
    """Return the figures of the tails: ``name, value``; fractions per bar, kurtosis raw.

    Value at risk is the empirical quantile, expected shortfall the mean of the returns at or below it.
    """
    values = returns.to_numpy()
    figures = compute_metrics(values, periods_per_year=1.0)
    rows: list[tuple[str, float]] = [
        ("best", float(values.max())),
        ("worst", float(values.min())),
        ("mean", float(values.mean())),
        ("median", float(np.median(values))),
        ("deviation", float(values.std(ddof=1)) if len(values) > 1 else math.nan),
        ("skewness", figures["skewness"]),
        ("kurtosis", figures["kurtosis"]),
    ]
    for level in (0.05, 0.01):
        quantile = float(np.quantile(values, level))
        rows.append((f"value_at_risk_{level:g}", quantile))
        rows.append((f"expected_shortfall_{level:g}", float(values[values <= quantile].mean())))
    return pl.DataFrame(rows, schema=["name", "value"], orient="row")


def regime_bars(account: pl.DataFrame, *, window: int) -> pl.Series:
    """Return each bar's regime of the benchmark, told as :func:`lab.backtest.regimes` does; or null."""
    wealth = account["benchmark"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return pl.Series("regime", told_regimes(wealth, window=window), dtype=pl.String)


def regimes(account: pl.DataFrame, *, window: int, periods_per_year: float) -> pl.DataFrame:
    """Return figures by regime of the benchmark.

    ``regime, bars, share, annualised_return, benchmark_annualised, annualised_volatility, sharpe,
    hit_ratio``; bars of one regime are joined end to end. Bars before the first full window are left out.
    """
    marked = account.with_columns(regime=regime_bars(account, window=window)).drop_nulls("regime")
    rows = []
    for name in ("bull", "sideways", "bear"):
        part = marked.filter(pl.col("regime") == name)
        if part.is_empty():
            continue
        own = compute_metrics(part["return"].to_numpy(), periods_per_year=periods_per_year)
        market = part["benchmark_return"].fill_null(0.0).to_numpy()
        theirs = compute_metrics(market, periods_per_year=periods_per_year)
        rows.append(
            {
                "regime": name,
                "bars": part.height,
                "share": part.height / marked.height,
                "annualised_return": own["annualised_return"],
                "benchmark_annualised": theirs["annualised_return"],
                "annualised_volatility": own["annualised_volatility"],
                "sharpe": own["sharpe"],
                "hit_ratio": own["hit_ratio"],
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def bars_in(timeframe: Timeframe, *, days: int, of: int) -> int:
    """Return the bars of `days` days, at least 20; of short samples a third at most, and no fewer than 2.

    Examples
    --------
    >>> [bars_in(Timeframe.parse(name), days=90, of=1_000) for name in ("1h", "1d", "1w")]
    [333, 90, 20]
    """
    wanted = max(round(days * 86_400 / timeframe.seconds), 20)
    return max(min(wanted, of // 3), 2)


def span_text(timeframe: Timeframe, bars: int) -> str:
    """Return a number of bars as a span of time.

    Examples
    --------
    >>> span_text(Timeframe.parse("1h"), 2160), span_text(Timeframe.parse("1m"), 90)
    ('90 days', '90 bars')
    """
    days = bars * timeframe.seconds / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{bars} bars"
