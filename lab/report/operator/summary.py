"""What the frames of a journal say about one period."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.backtest import compute_metrics
from lab.core.errors import DataError
from lab.report.operator.journal import JournalFrames, read_journal
from lab.report.operator.period import Period

__all__ = ["OperatorInput"]

_DAYS_PER_YEAR: Final = 365.0
_SEVERITIES: Final = ("CRITICAL", "WARNING", "INFO")
# Criteria of demotion: how far an account may fall behind what its backtest promised.
DRAWDOWN_TOLERANCE: Final = 1.5
LARGEST_ERROR_SHARE: Final = 0.01
LEAST_CONCORDANCE: Final = 0.99
_SHARPE_DAYS: Final = (182, 365)


@dataclass(frozen=True, slots=True, eq=False)
class OperatorInput:
    """Everything the operator's report shows.

    Attributes
    ----------
    period : Period
    journal : JournalFrames
        Of the whole account.
    context : mapping
        ``account, portfolio, strategies, journal`` (path), ``code_version``; ``reference``: the metrics of
        the backtest that the account is held against, where one was named, and its ``run_id``;
        ``comparison``: how the account agrees with the backtest of its own bars (``mnemo compare``).
    """

    period: Period
    journal: JournalFrames
    context: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path | str) -> OperatorInput:
        """Read ``journal.sqlite`` and ``context.json`` of a folder.

        Raises
        ------
        DataError
            If either is missing or cannot be read.
        """
        place = Path(folder)
        try:
            context = json.loads((place / "context.json").read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{place}: no context.json to read ({error}); write it with 'mnemo operator-report'"
            ) from None
        start, end = (datetime.fromisoformat(context["period"][key]) for key in ("start", "end"))
        period = Period(context["period"]["name"], start, end)
        return cls(period, read_journal(place / "journal.sqlite"), context)

    def within(self, name: str) -> pl.DataFrame:
        """Return the rows of a frame that fall into the period."""
        return self.journal.frames[name].filter(
            pl.col("at") >= self.period.start, pl.col("at") < self.period.end
        )

    def daily(self) -> pl.DataFrame:
        """Return one row per day up to the period's end: ``day, equity, profit, return, ticks``.

        Equity is that of the day's last tick; a day without one keeps the day's before.
        """
        ticks = self.journal.frames["ticks"].filter(pl.col("at") < self.period.end)
        if ticks.is_empty():
            return pl.DataFrame(
                schema={
                    "day": pl.Date,
                    "equity": pl.Float64,
                    "profit": pl.Float64,
                    "return": pl.Float64,
                    "ticks": pl.Int64,
                }
            )
        days = ticks.group_by(day=pl.col("at").dt.date()).agg(
            equity=pl.col("equity").sort_by("at").last(), ticks=pl.len().cast(pl.Int64)
        )
        last = (self.period.end - timedelta(days=1)).date()
        calendar = pl.DataFrame(
            {"day": pl.date_range(days["day"].min(), max(last, days["day"].max()), eager=True)}  # type: ignore[arg-type, type-var]
        )
        before = pl.col("equity").shift(1).fill_null(self.journal.capital)
        return (
            calendar.join(days, on="day", how="left", maintain_order="left")
            .with_columns(pl.col("equity").forward_fill(), pl.col("ticks").fill_null(0))
            .with_columns(profit=pl.col("equity") - before)
            .with_columns(pl.when(before != 0).then(pl.col("profit") / before).alias("return"))
            .select("day", "equity", "profit", "return", "ticks")
        )

    def days_within(self) -> pl.DataFrame:
        """Return the days of the period with what was traded and paid on each."""
        days = self.daily().filter(
            pl.col("day") >= self.period.start.date(), pl.col("day") < self.period.end.date()
        )
        paid = (
            self.within("fills")
            .group_by(day=pl.col("at").dt.date())
            .agg(
                fills=pl.len().cast(pl.Int64),
                traded=pl.col("notional").sum(),
                fees=pl.col("fee").sum(),
                slippage=pl.col("slippage").sum(),
            )
        )
        return days.join(paid, on="day", how="left", maintain_order="left").with_columns(
            pl.col("fills", "traded", "fees", "slippage").fill_null(0)
        )

    def figures(self) -> dict[str, float | None]:
        """Return the figures at the head of the page; None where nothing is known."""
        every, own = self.daily(), self.days_within()
        fills, ticks = self.within("fills"), self.within("ticks")
        equity = float(own["equity"][-1]) if own.height else None
        start = None
        if own.height and equity is not None:
            start = equity - float(own["profit"].sum())
        return {
            "profit": float(own["profit"].sum()) if own.height else None,
            "return": None if not start or equity is None else equity / start - 1.0,
            "equity": equity,
            "since_opening": None
            if equity is None or not self.journal.capital
            else equity / self.journal.capital - 1.0,
            "drawdown": drawdown(every["equity"], self.journal.capital) if own.height else None,
            "exposure": _last(ticks, "exposure"),
            "traded": float(fills["notional"].sum()),
            "fees": float(fills["fee"].sum()),
            "slippage": float(fills["slippage"].sum()),
            "orders": float(self.within("orders").height),
            "ticks": float(ticks.height),
        }

    def incidents(self) -> pl.DataFrame:
        """Return the period's incidents, the gravest first."""
        found = self.within("incidents")
        order = pl.col("severity").replace_strict(
            {name: number for number, name in enumerate(_SEVERITIES)}, default=len(_SEVERITIES)
        )
        return found.with_columns(_order=order).sort("_order", "at").drop("_order")

    def counts(self) -> dict[str, int]:
        """Return how many incidents of each severity the period had."""
        found = self.within("incidents")["severity"].to_list()
        return {name: found.count(name) for name in _SEVERITIES}

    def limits(self) -> pl.DataFrame:
        """Return every limit: ``limit, scope, of, used, fraction`` at the last tick, ``highest, tripped``.

        ``highest`` is the largest fraction within the period; the fullest limits come first.
        """
        budgets = self.within("budgets")
        return (
            budgets.group_by("limit", "scope")
            .agg(
                of=pl.col("of").last(),
                used=pl.col("used").last(),
                fraction=pl.col("fraction").last(),
                highest=pl.col("fraction").max(),
                tripped=pl.col("tripped").fill_null(False).any(),
            )
            .sort(["highest", "limit", "scope"], descending=[True, False, False])
        )

    def criteria(self) -> pl.DataFrame:
        """Return the criteria of demotion: ``criterion, found, limit, state``.

        State is ``ok``, ``met`` (a person should act), or ``not known`` with the reason in ``found``.
        """
        return pl.DataFrame(
            [
                self._drawdown(),
                *(self._sharpe(days) for days in _SHARPE_DAYS),
                self._concordance(),
                self._errors(),
                self._ticks(),
            ],
            schema={"criterion": pl.String, "found": pl.String, "limit": pl.String, "state": pl.String},
        )

    def _drawdown(self) -> dict[str, str]:
        name = f"drawdown beyond {DRAWDOWN_TOLERANCE:g} x the backtest's"
        promised = (self.context.get("reference") or {}).get("max_drawdown")
        found = self.figures()["drawdown"]
        if promised is None or found is None:
            return _row(name, "no backtest was named (--run RUN_ID)", "", None)
        limit = DRAWDOWN_TOLERANCE * float(promised)
        return _row(name, f"{found:.1%}", f"{limit:.1%}", found < limit)

    def _sharpe(self, days: int) -> dict[str, str]:
        name = f"Sharpe ratio below 0 over {days} days"
        returns = self.daily()["return"].drop_nulls()
        if len(returns) < days:
            return _row(name, f"{len(returns)} days on record", "0", None)
        found = compute_metrics(returns.tail(days).to_numpy(), periods_per_year=_DAYS_PER_YEAR)["sharpe"]
        return _row(name, f"{found:.2f}", "0", None if math.isnan(found) else found < 0)

    def _concordance(self) -> dict[str, str]:
        name = f"fewer than {LEAST_CONCORDANCE:.0%} of bars with the backtest's permitted weights"
        found = self.context.get("comparison") or {}
        share = found.get("concordance")
        if share is None:
            return _row(name, str(found.get("problem") or "not compared"), f"{LEAST_CONCORDANCE:.0%}", None)
        text = f"{share:.2%} of {found['compared']}, {found['missed']} without a tick"
        return _row(name, text, f"{LEAST_CONCORDANCE:.0%}", share < LEAST_CONCORDANCE)

    def _errors(self) -> dict[str, str]:
        name = f"more than {LARGEST_ERROR_SHARE:.0%} of orders failed"
        orders, failed = self.within("orders").height, self.within("failures")["order"].n_unique()
        if not orders:
            return _row(name, "no orders", f"{LARGEST_ERROR_SHARE:.0%}", None)
        return _row(
            name, f"{failed} of {orders}", f"{LARGEST_ERROR_SHARE:.0%}", failed / orders > LARGEST_ERROR_SHARE
        )

    def _ticks(self) -> dict[str, str]:
        days = self.days_within().filter(pl.col("day") >= self.journal.opened.date())
        quiet = int((days["ticks"] == 0).sum())
        return _row("days without a tick", f"{quiet} of {days.height}", "0", quiet > 0 or not days.height)


def drawdown(equity: pl.Series, capital: float) -> float:
    """Return the deepest fall of equity from its highest, the capital included; at most 0.

    Examples
    --------
    >>> drawdown(pl.Series([90.0, 120.0, 60.0]), 100.0)
    -0.5
    """
    peak = equity.cum_max().clip(lower_bound=capital)
    return float((equity / peak - 1.0).min() or 0.0)  # type: ignore[arg-type]


def _row(criterion: str, found: str, limit: str, met: bool | None) -> dict[str, str]:
    state = "not known" if met is None else "met" if met else "ok"
    return {"criterion": criterion, "found": found, "limit": limit, "state": state}


def _last(frame: pl.DataFrame, column: str) -> float | None:
    return float(frame[column][-1]) if frame.height and frame[column][-1] is not None else None
