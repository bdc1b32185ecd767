"""From accounts to a campaign's tables: figures by part, daily returns, correlations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import Bars, against, compute_metrics
from lab.core.panel import Panel
from lab.pipeline.campaign.accounts import Holdings, MemberAccounts
from lab.pipeline.campaign.parts import Part

__all__ = ["FIGURES", "breakdown_tables", "correlations", "daily_returns", "family_returns", "figure_rows"]

FIGURES: Final = (
    "total_return",
    "annualised_return",
    "annualised_volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "turnover",
    "exposure",
    "cost_share",
    "time_in_market",
)
_HELD: Final = ("total_return", "annualised_return", "annualised_volatility", "sharpe", "max_drawdown")
_BESIDE: Final = ("excess_return", "beta", "correlation", "alpha", "up_capture", "down_capture")
# Fewer common days say nothing about how two accounts move together.
_COMMON_DAYS: Final = 20


def figure_rows(
    account: MemberAccounts, panel: Panel, parts: Sequence[Part], holdings: Holdings
) -> Iterator[dict[str, Any]]:
    """Yield one row per part and cost level.

    ``id, family, timeframe, costs, kind, part, first, last, bars``, the account's :data:`FIGURES`, those of
    buy and hold with the prefix ``hold_``, and what the account is beside it. A named period's buy and
    hold begins with the period; a regime's is that of the whole history, on the regime's bars.
    """
    year = account.timeframe.periods_per_year
    ts, whole = account.ts, len(account.ts)
    for part in parts:
        for level, run in account.accounts.items():
            own = _picked(run.bars, part.rows)
            if part.kind == "regime":
                held = _picked(
                    holdings.bars(panel, account.first, whole, run.costs), part.rows - account.first
                )
            else:
                first, last = int(part.rows[0]), int(part.rows[-1])
                held = holdings.bars(panel, first, last + 1, run.costs)
            mine = compute_metrics(own, periods_per_year=year)
            theirs = compute_metrics(held, periods_per_year=year)
            beside = against(own, held, timeframe=account.timeframe)
            yield {
                "id": account.member.name,
                "family": account.member.family,
                "timeframe": str(account.timeframe),
                "costs": level,
                "kind": part.kind,
                "part": part.name,
                "first": _day(ts[part.rows[0]]),
                "last": _day(ts[part.rows[-1]]),
                "bars": len(part.rows),
                **{name: mine[name] for name in FIGURES},
                **{f"hold_{name}": theirs[name] for name in _HELD},
                **{name: beside[name] for name in _BESIDE},
            }


def daily_returns(account: MemberAccounts, panel: Panel, holdings: Holdings, headline: str) -> pl.DataFrame:
    """Return ``date, id, family, costs, return`` of a member after the warm-up, compounded by UTC day.

    Buy and hold of its markets has the id ``hold:<id>`` and the family ``hold``, at the headline's
    costs.
    """
    rows = np.arange(account.first, len(account.ts))
    ts, name, family = account.ts[rows], account.member.name, account.member.family
    frames = [
        _daily(ts, run.bars.returns[rows], name, family, level) for level, run in account.accounts.items()
    ]
    held = holdings.bars(panel, account.first, len(account.ts), account.accounts[headline].costs)
    return pl.concat([*frames, _daily(ts, held.returns, f"hold:{name}", "hold", headline)])


def family_returns(daily: pl.DataFrame) -> pl.DataFrame:
    """Return ``date, id, return`` of each family: the mean of its members' on the days that each has.

    That is an account which gives each of its members the same share every day, without the costs of that.
    """
    return (
        daily.filter(~pl.col("family").is_in(["hold", "portfolio"]))
        .group_by("date", pl.col("family").alias("id"))
        .agg(pl.col("return").mean())
        .sort("date", "id")
    )


def correlations(daily: pl.DataFrame) -> pl.DataFrame:
    """Return ``a, b, correlation, days`` of all pairs of ids, on the days that both have.

    Pearson's coefficient of daily returns; NaN on fewer than 20 common days, or where one does not vary.

    Parameters
    ----------
    daily : polars.DataFrame
        ``date, id, return``.

    Examples
    --------
    >>> from datetime import date
    >>> days = [date(2024, 1, day) for day in range(1, 29)]
    >>> up = pl.DataFrame({"date": days, "id": "up", "return": [0.01, -0.01] * 14})
    >>> down = up.with_columns(pl.lit("down").alias("id"), -pl.col("return"))
    >>> correlations(pl.concat([up, down])).rows()
    [('down', 'up', -1.0, 28)]
    """
    wide = daily.pivot(on="id", index="date", values="return").sort("date")
    names = sorted(name for name in wide.columns if name != "date")
    values = {name: wide[name].to_numpy() for name in names}
    rows = [
        (a, b, *_correlation(values[a], values[b])) for at, a in enumerate(names) for b in names[at + 1 :]
    ]
    schema = {"a": pl.String, "b": pl.String, "correlation": pl.Float64, "days": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def breakdown_tables(accounts: Sequence[MemberAccounts]) -> Mapping[str, pl.DataFrame]:
    """Return the members' breakdowns by name, each row with the member's id."""
    names = dict.fromkeys(name for account in accounts for name in account.breakdowns)
    found = {}
    for name in names:
        parts = [
            account.breakdowns[name].select(pl.lit(account.member.name).alias("id"), pl.all())
            for account in accounts
            if name in account.breakdowns
        ]
        found[name] = pl.concat(parts)
    return found


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, int]:
    both = ~(np.isnan(a) | np.isnan(b))
    x, y = a[both], b[both]
    if len(x) < _COMMON_DAYS or x.std() == 0.0 or y.std() == 0.0:
        return math.nan, len(x)
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0)), len(x)


def _daily(
    ts: NDArray[np.datetime64], returns: NDArray[np.float64], name: str, family: str, level: str
) -> pl.DataFrame:
    return (
        pl.DataFrame({"date": pl.Series(ts).dt.date(), "return": returns})
        .group_by("date", maintain_order=True)
        .agg(((1.0 + pl.col("return")).product() - 1.0).alias("return"))
        .select(
            "date",
            pl.lit(name).alias("id"),
            pl.lit(family).alias("family"),
            pl.lit(level).alias("costs"),
            "return",
        )
    )


def _picked(bars: Bars, rows: NDArray[np.int64]) -> Bars:
    return Bars(bars.returns[rows], bars.turnover[rows], bars.cost[rows], bars.exposure[rows])


def _day(ts: np.datetime64) -> str:
    return str(ts.astype("datetime64[D]"))
