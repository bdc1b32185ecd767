"""Body of the tearsheet: folds, trades, regimes, doubt and what risk changed, as tables."""

from __future__ import annotations

import math
from typing import Any, Final

import polars as pl

from lab.report.inputs import ReportInput
from lab.report.page.markup import (
    Column,
    Html,
    beside,
    chance,
    count,
    date,
    decimal,
    facts,
    money,
    note,
    percent,
    signed_percent,
    table,
)
from lab.report.tables import (
    extreme_trades,
    luck,
    parameter_columns,
)
from lab.report.tables import (
    risk_actions as counted_actions,
)

__all__ = [
    "decisions",
    "doubt",
    "folds",
    "markets",
    "regimes",
    "risk_actions",
    "tails",
    "trades",
]

_MIDDLE: Final = {
    "best": "best bar",
    "worst": "worst bar",
    "mean": "mean",
    "median": "median",
    "deviation": "standard deviation",
}
_TAILS: Final = {
    "value_at_risk_0.05": "5% value at risk",
    "expected_shortfall_0.05": "5% expected shortfall",
    "value_at_risk_0.01": "1% value at risk",
    "expected_shortfall_0.01": "1% expected shortfall",
}


def doubt(report: ReportInput) -> Html:
    """Return how much of the Sharpe ratio is left once luck is counted."""
    found = luck(report)
    needed = found.years_needed
    years = "no length is enough" if needed == math.inf else "" if needed is None else f"{needed:.1f} years"
    return facts(
        {
            "Sharpe ratio": decimal(found.sharpe),
            "95% interval": ""
            if found.interval is None
            else f"{decimal(found.interval[0])} to {decimal(found.interval[1])}",
            "probability above 0, one trial": _maybe(found.probabilistic_sharpe, chance),
            "distinct trials in the ledger": _maybe(found.n_trials, count),
            "best Sharpe of as many by luck": _maybe(found.expected_max_sharpe, decimal),
            "deflated Sharpe ratio": _maybe(found.deflated_sharpe, chance),
            "probability of overfitting": _maybe(found.pbo, chance),
            "length of the sample": f"{found.years:.1f} years",
            "needed for 95%, one trial": years,
        },
        name="doubt",
    )


def folds(frame: pl.DataFrame) -> Html:
    """Return the folds with what was chosen in each."""
    choices = [Column(column, name, _value) for name, column in parameter_columns(frame).items()]
    optional = (
        Column("trials", "trials", count),
        Column("test_total_return", "return", signed_percent, tint=True),
        Column("test_max_drawdown", "drawdown", percent),
    )
    known = {column.name: column for column in optional if column.name in frame.columns}
    columns = [
        Column("fold", "fold", count),
        Column("test_start", "tested from", date),
        Column("test_end", "to", date),
        *([known["trials"]] if "trials" in known else []),
        Column("train_sharpe", "Sharpe, training", decimal, tint=True),
        Column("test_sharpe", "Sharpe, test", decimal, tint=True),
        *(column for name, column in known.items() if name != "trials"),
        *choices,
    ]
    return table(frame, columns, name="folds")


def fold_summary(frame: pl.DataFrame) -> Html:
    """Return one sentence on what was left of the training Sharpe ratio."""
    train, test = frame["train_sharpe"], frame["test_sharpe"]
    positive = int((test > 0).sum())
    return Html(
        f'<p class="caption">{positive} of {frame.height} folds have a positive Sharpe ratio out of sample. '
        f"Median {decimal(float(train.median() or 0.0))} in training, "  # type: ignore[arg-type]
        f"{decimal(float(test.median() or 0.0))} after it.</p>"  # type: ignore[arg-type]
    )


def regimes(frame: pl.DataFrame, *, window: str) -> Html:
    """Return figures by regime of the market."""
    columns = (
        Column("regime", "regime"),
        Column("bars", "bars", count),
        Column("share", "share", percent),
        Column("annualised_return", "return a year", signed_percent, tint=True),
        Column("benchmark_annualised", "buy and hold", signed_percent, tint=True),
        Column("annualised_volatility", "volatility", percent),
        Column("sharpe", "Sharpe", decimal, tint=True),
        Column("hit_ratio", "bars with a gain", percent),
    )
    rule = (
        f"Bull: buy and hold gained more than 20% over the {window} before the bar; bear: lost more than the "
        "17% that undo such a gain; the bar itself does not count. Bars of one regime are joined end to end."
    )
    return table(frame, columns, name="regimes", caption=rule)


def tails(frame: pl.DataFrame) -> Html:
    """Return quantiles and shortfalls of the returns per bar."""
    values = dict(frame.iter_rows())
    middle = {title: _percent_two(values[name]) for name, title in _MIDDLE.items()}
    outer = {title: _percent_two(values[name]) for name, title in _TAILS.items()}
    outer["skewness"] = decimal(values["skewness"])
    outer["kurtosis (normal: 3)"] = decimal(values["kurtosis"])
    return beside(facts(middle, name="distribution"), facts(outer, name="tails"))


def markets(frame: pl.DataFrame) -> Html:
    """Return round trips by market."""
    columns = (
        Column("market", "market"),
        Column("trades", "closed", count),
        Column("open", "open", count),
        Column("hit_ratio", "with a profit", percent),
        Column("profit", "profit, net", money, tint=True),
        Column("fees", "fees", money),
        Column("mean_return", "mean", signed_percent, tint=True),
        Column("best", "best", signed_percent, tint=True),
        Column("worst", "worst", signed_percent, tint=True),
        Column("mean_bars", "bars held", count),
    )
    caption = "A trade is a round trip from flat to flat; amounts in the quote currency."
    return table(frame, columns, name="markets", caption=caption)


def trades(frame: pl.DataFrame) -> Html:
    """Return the best and worst trades."""
    columns = (
        Column("market", "market"),
        Column("entry_ts", "entry", date),
        Column("exit_ts", "exit", date),
        Column("bars", "bars", count),
        Column("profit", "profit, net", money, tint=True),
        Column("return", "return", signed_percent, tint=True),
        Column("fees", "fees", money),
    )
    shown = extreme_trades(frame)
    caption = f"The {shown.height} with the highest and lowest profit of {frame.height}. –: still open."
    return table(shown, columns, name="trades", caption=caption)


def risk_actions(events: pl.DataFrame | None) -> Html:
    """Return what the risk step changed, by reason."""
    if events is None:
        return Html('<p class="caption">The risk step changed no weight.</p>')
    columns = (
        Column("reason", "reason"),
        Column("changes", "weights changed", count),
        Column("markets", "markets", count),
        Column("first", "first", date),
        Column("last", "last", date),
    )
    caption = "Weights that the risk step cut or kept before they were traded; one may have several reasons."
    return table(counted_actions(events), columns, name="risk", caption=caption)


def decisions(frame: pl.DataFrame | None) -> Html:
    """Return the last decision with what it rests on: scores, filters, reasons."""
    if frame is None:
        return note("Why the last weights are what they are was not recorded.")
    last = frame.filter(pl.col("ts") == pl.col("ts").max())
    rests = [name for name in last.columns if name not in {"ts", "market", "weight", "reasons"}]
    columns = (
        Column("market", "market"),
        Column("weight", "weight", percent),
        *(Column(name, name.split("@")[0].replace("_", " "), _value) for name in rests),
        Column("reasons", "reasons"),
    )
    caption = (
        f"At the close of {date(last['ts'][0])}: weight, scores and filters (1: passed), and why. –: keep."
    )
    return table(
        last.with_columns(pl.col("weight").fill_nan(None)), columns, name="decision", caption=caption
    )


def _maybe(value: Any, write: Any) -> str:
    return "" if value is None else str(write(value))


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent_two(value: float) -> str:
    return f"{value:.2%}".replace("-", "−") if math.isfinite(value) else "–"
