"""What a comparison says, as frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import compute_metrics
from lab.report.comparison.inputs import ComparisonInput

__all__ = [
    "COMBINED",
    "HELD",
    "combined",
    "correlation_of_families",
    "correlation_of_runs",
    "figures_of_runs",
    "marginal",
    "wealth",
    "years",
]

COMBINED: Final = "combined"
HELD: Final = "buy and hold"
_FIGURES: Final = (
    "total_return",
    "annualised_return",
    "annualised_volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
)
# Share of the periods that count as bad ones: those with the lowest returns of buy and hold.
BAD_PERIODS: Final = 0.10

Array = NDArray[np.float64]


def combined(report: ComparisonInput) -> pl.Series:
    """Return the returns of the portfolio that gives each run its share at the start of every period.

    Bringing the shares back costs nothing here; the runs' own costs are in their returns.
    """
    parts = [share * report.returns[name] for name, share in zip(report.names, report.shares, strict=True)]
    return sum(parts[1:], parts[0]).alias(COMBINED)


def held(report: ComparisonInput) -> pl.Series | None:
    """Return the mean of the runs' buy and hold by period; None if no run recorded one."""
    known = [name for name in report.names if report.benchmarks[name].null_count() < report.benchmarks.height]
    if not known:
        return None
    values = np.stack([report.benchmarks[name].to_numpy() for name in known])
    there = ~np.isnan(values)
    mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return pl.Series(HELD, mean)


def wealth(report: ComparisonInput) -> pl.DataFrame:
    """Return growth of 1 by period: ``ts``, every run, ``combined``, and ``buy and hold`` where known."""
    columns = {name: report.returns[name] for name in report.names}
    columns[COMBINED] = combined(report)
    beside = held(report)
    if beside is not None:
        columns[HELD] = beside
    grown = [(1.0 + values).cum_prod().alias(name) for name, values in columns.items()]
    return pl.DataFrame([report.returns["ts"], *grown])


def figures_of_runs(report: ComparisonInput) -> pl.DataFrame:
    """Return a row per run, then ``combined`` and ``buy and hold``, over the common periods.

    ``name, family, share``, figures of :func:`lab.backtest.compute_metrics`, and what each run was judged by
    over its own bars: ``deflated_sharpe, n_trials, status``.
    """
    rows = []
    families = dict(zip(report.names, report.families, strict=True))
    shares = dict(zip(report.names, report.shares, strict=True))
    judged = dict(zip(report.names, report.reports, strict=True))
    for name, returns in _all(report).items():
        figures = compute_metrics(returns, periods_per_year=report.periods_per_year)
        own = judged.get(name)
        rows.append(
            {
                "name": name,
                "family": families.get(name, ""),
                "share": shares.get(name),
                **{figure: figures[figure] for figure in _FIGURES},
                "deflated_sharpe": None if own is None else own.number("deflated_sharpe"),
                "n_trials": None if own is None else own.number("n_trials"),
                "status": "" if own is None else own.text("status"),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def correlation_of_runs(report: ComparisonInput, *, bad: bool = False) -> pl.DataFrame:
    """Return Pearson's correlation of the runs' returns: ``name`` and a column per run.

    With `bad`, only of the tenth of the periods in which buy and hold did worst: diversification is needed
    there. NaN where a run does not vary, or fewer than three periods are left. Empty with `bad` if no run
    recorded a buy and hold.
    """
    values = {name: report.returns[name].to_numpy() for name in report.names}
    if bad:
        beside = held(report)
        if beside is None:
            return pl.DataFrame(schema={"name": pl.String})
        market = beside.to_numpy()
        worst = market <= np.quantile(market, BAD_PERIODS)
        values = {name: returns[worst] for name, returns in values.items()}
    return _matrix(values)


def correlation_of_families(report: ComparisonInput) -> pl.DataFrame:
    """Return the correlation of the families' returns; a family's is the mean of its runs'."""
    values = {}
    for family in dict.fromkeys(report.families):
        own = [name for name, of in zip(report.names, report.families, strict=True) if of == family]
        values[family] = np.stack([report.returns[name].to_numpy() for name in own]).mean(axis=0)
    return _matrix(values)


def marginal(report: ComparisonInput) -> pl.DataFrame:
    """Return what each run adds to the combined portfolio, a row per run.

    Returns
    -------
    polars.DataFrame
        ``name, share``;
        ``return_part``: its share times its mean return, over the portfolio's mean return;
        ``risk_part``: its share times the covariance of its returns with the portfolio's, over the
        portfolio's variance: both parts sum to 1 over the runs;
        ``correlation`` with the rest, the portfolio of the others in their proportions;
        ``alpha``: annualised part of its mean return that is no multiple of the rest's (least squares): a
        run with a positive one raises the Sharpe ratio if added with a small share;
        ``sharpe_without`` and ``drawdown_without`` of the rest, ``sharpe_added`` and ``drawdown_added``: the
        portfolio's minus the rest's. NaN where there is no rest.
    """
    year = report.periods_per_year
    whole = combined(report).to_numpy()
    figures = compute_metrics(whole, periods_per_year=year)
    rows = []
    for place, (name, share) in enumerate(zip(report.names, report.shares, strict=True)):
        own = report.returns[name].to_numpy()
        rest = _rest(report, place)
        without = compute_metrics(rest, periods_per_year=year) if rest is not None else {}
        rows.append(
            {
                "name": name,
                "share": share,
                "return_part": _over(share * own.mean(), whole.mean()),
                "risk_part": _over(share * _covariance(own, whole), _covariance(whole, whole)),
                "correlation": math.nan if rest is None else _correlation(own, rest),
                "alpha": math.nan if rest is None else _alpha(own, rest) * year,
                "sharpe_without": without.get("sharpe", math.nan),
                "sharpe_added": figures["sharpe"] - without.get("sharpe", math.nan),
                "drawdown_without": without.get("max_drawdown", math.nan),
                "drawdown_added": figures["max_drawdown"] - without.get("max_drawdown", math.nan),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def years(report: ComparisonInput) -> pl.DataFrame:
    """Return compounded returns by calendar year: ``year`` and a column per run, combined, buy and hold."""
    frame = pl.DataFrame({"year": report.returns["ts"].dt.year().cast(pl.Int64), **_all(report)})
    return frame.group_by("year").agg((pl.exclude("year") + 1.0).product() - 1.0).sort("year")


def _all(report: ComparisonInput) -> Mapping[str, Array]:
    values = {name: report.returns[name].to_numpy() for name in report.names}
    values[COMBINED] = combined(report).to_numpy()
    beside = held(report)
    return values if beside is None else {**values, HELD: beside.to_numpy()}


def _rest(report: ComparisonInput, place: int) -> Array | None:
    """Return the portfolio without one run, the others in their proportions and with the same sum."""
    others = [(n, s) for k, (n, s) in enumerate(zip(report.names, report.shares, strict=True)) if k != place]
    left = sum(share for _, share in others)
    if left <= 0.0:
        return None
    scale = sum(report.shares) / left
    total: Array = sum((scale * share) * report.returns[name].to_numpy() for name, share in others)  # type: ignore[assignment]
    return total


def _matrix(values: Mapping[str, Array]) -> pl.DataFrame:
    names = list(values)
    rows = [
        {"name": a, **{b: 1.0 if a == b else _correlation(values[a], values[b]) for b in names}}
        for a in names
    ]
    return pl.DataFrame(rows, schema={"name": pl.String, **dict.fromkeys(names, pl.Float64)})


def _correlation(a: Array, b: Array) -> float:
    if len(a) < 3:
        return math.nan
    return _over(_covariance(a, b), math.sqrt(_covariance(a, a) * _covariance(b, b)))


def _alpha(own: Array, rest: Array) -> float:
    beta = _over(_covariance(own, rest), _covariance(rest, rest))
    return float(own.mean() - beta * rest.mean())


def _covariance(a: Array, b: Array) -> float:
    return float(((a - a.mean()) * (b - b.mean())).sum() / (len(a) - 1))


def _over(top: float, bottom: float) -> float:
    return float(top / bottom) if abs(bottom) > 1e-18 else math.nan
