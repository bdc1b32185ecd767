"""What speaks for and against a result: folds, trials, luck, engines, certificate, data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from lab.core.errors import ConfigError
from lab.report.inputs import ReportInput
from lab.report.tables.account import account
from lab.validation.overfitting import min_track_record_length, probabilistic_sharpe_ratio, sharpe_statistics

__all__ = [
    "Luck",
    "chosen",
    "luck",
    "parameter_columns",
    "plateau",
    "quality",
    "recomputed_difference",
    "varying_parameters",
]

_PREFIX: Final = "parameter_"


@dataclass(frozen=True, slots=True)
class Luck:
    """How much of a Sharpe ratio is left once luck is counted; None where it was not recorded.

    Attributes
    ----------
    sharpe : float
        Annualised, as logged; NaN where the account never moved.
    deflated_sharpe : float or None
        Probability that it is above what the trials on record give by luck.
    expected_max_sharpe : float or None
        That luck: the best Sharpe ratio to expect of as many trials without any edge, annualised.
    n_trials : int or None
        Distinct trials on record.
    pbo : float or None
        Probability of backtest overfitting.
    probabilistic_sharpe : float or None
        Probability that the true Sharpe ratio is above 0, had there been one trial only.
    years : float
        Length of the sample.
    years_needed : float or None
        Length at which this Sharpe ratio would be above 0 with 95% confidence; infinite if none is enough.
    interval : pair of float or None
        Of the Sharpe ratio, annualised, with 95% confidence, from the length and shape of the returns.
    """

    sharpe: float
    deflated_sharpe: float | None
    expected_max_sharpe: float | None
    n_trials: int | None
    pbo: float | None
    probabilistic_sharpe: float | None
    years: float
    years_needed: float | None
    interval: tuple[float, float] | None


def luck(report: ReportInput) -> Luck:
    """Gather what was recorded of luck, and what follows from the returns alone."""
    returns = account(report)["return"]
    trials = report.number("n_trials")
    probabilistic, needed, interval = _alone(returns, report.periods_per_year)
    return Luck(
        sharpe=report.metrics.get("sharpe", math.nan),
        deflated_sharpe=report.number("deflated_sharpe"),
        expected_max_sharpe=report.number("expected_max_sharpe"),
        n_trials=None if trials is None else int(trials),
        pbo=report.number("pbo"),
        probabilistic_sharpe=probabilistic,
        years=len(returns) / report.periods_per_year,
        years_needed=needed,
        interval=interval,
    )


def _alone(
    returns: pl.Series, periods_per_year: float
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    """Return probabilistic Sharpe ratio, years needed and interval; None where returns are too few."""
    if len(returns) < 3:
        return None, None, None
    found = sharpe_statistics(returns.to_numpy())
    shape = {"skewness": found.skewness, "kurtosis": found.kurtosis}
    try:
        probabilistic = probabilistic_sharpe_ratio(found.sharpe, n_observations=len(returns), **shape)
        needed = min_track_record_length(found.sharpe, **shape) / periods_per_year
        # The bars that a distance of 1 would need at 97.5% say how wide the two-sided interval is.
        bars = min_track_record_length(found.sharpe, benchmark=found.sharpe - 1.0, confidence=0.975, **shape)
    except ConfigError:  # moments of so few returns that they belong to no distribution
        return None, None, None
    root = math.sqrt(periods_per_year)
    reach = math.sqrt((bars - 1.0) / (len(returns) - 1.0)) * root
    return probabilistic, needed, (found.sharpe * root - reach, found.sharpe * root + reach)


def parameter_columns(frame: pl.DataFrame) -> dict[str, str]:
    """Return the columns that hold parameters, by the parameter's name."""
    return {name.removeprefix(_PREFIX): name for name in frame.columns if name.startswith(_PREFIX)}


def varying_parameters(trials: pl.DataFrame) -> tuple[str, ...]:
    """Return the numeric parameters that took at least two values, those with the most values first."""
    counts = {
        name: trials[column].drop_nulls().n_unique()
        for name, column in parameter_columns(trials).items()
        if trials.schema[column].is_numeric()
    }
    return tuple(
        sorted((name for name in counts if counts[name] > 1), key=lambda name: (-counts[name], name))
    )


def plateau(trials: pl.DataFrame, parameters: Sequence[str], bins: int = 24) -> pl.DataFrame:
    """Return the median training Sharpe ratio by value of one or two parameters, over all folds.

    Columns: the parameters' names, ``sharpe``, ``trials``. A parameter with more than `bins` values is cut
    into that many equal parts and shown by their middles. Trials that were repeated or invalid are left out.
    """
    usable = trials.filter(pl.col("state") == "complete") if "state" in trials.columns else trials
    keys = [_binned(usable, f"{_PREFIX}{name}", bins).alias(name) for name in parameters]
    return (
        usable.group_by(keys)
        .agg(sharpe=pl.col("sharpe").median(), trials=pl.len().cast(pl.Int64))
        .drop_nulls()
        .sort(list(parameters))
    )


def recomputed_difference(report: ReportInput) -> float | None:
    """Return the largest relative difference between logged figures and those computed from the returns.

    Compared are the figures that returns alone determine. None where nothing could be compared.
    """
    from lab.backtest import compute_metrics

    mine = compute_metrics(account(report)["return"].to_numpy(), periods_per_year=report.periods_per_year)
    names = (
        "total_return",
        "annualised_return",
        "annualised_volatility",
        "sharpe",
        "sortino",
        "max_drawdown",
    )
    logged = report.metrics
    pairs = [(mine[name], logged[name]) for name in names if name in logged and math.isfinite(mine[name])]
    return max((abs(a - b) / max(abs(b), 1e-12) for a, b in pairs), default=None)


def quality(marks: pl.DataFrame) -> pl.DataFrame:
    """Return counts of bars by market: ``market, bars, good, questionable, bad, reasons``."""

    def of(level: str) -> pl.Expr:
        return pl.col("bars").filter(pl.col("quality") == level).sum().cast(pl.Int64)

    reason = pl.concat_str(pl.col("reason"), pl.lit(" "), pl.col("bars"))
    return (
        marks.sort("market", "bars", descending=[False, True])
        .group_by("market", maintain_order=True)
        .agg(
            bars=pl.col("bars").sum().cast(pl.Int64),
            good=of("GOOD"),
            questionable=of("QUESTIONABLE"),
            bad=of("BAD"),
            reasons=reason.filter(pl.col("reason") != "").str.join(", "),
        )
        .sort("market")
    )


def _binned(frame: pl.DataFrame, column: str, bins: int) -> pl.Expr:
    values = frame[column].drop_nulls()
    if values.n_unique() <= bins:
        return pl.col(column).cast(pl.Float64)
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    width = (high - low) / bins
    part = ((pl.col(column) - low) / width).floor().clip(0, bins - 1)
    return low + (part + 0.5) * width


def chosen(folds: pl.DataFrame | None, parameters: Sequence[str]) -> pl.DataFrame | None:
    """Return the folds' winners: one column per parameter; None where a parameter was not recorded."""
    if folds is None or not set(parameters) <= set(parameter_columns(folds)):
        return None
    return folds.select(pl.col(f"{_PREFIX}{name}").cast(pl.Float64).alias(name) for name in parameters)
