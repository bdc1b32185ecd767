"""Body of the tearsheet: folds, trades, regimes, doubt, proof and provenance as tables."""

from __future__ import annotations

import math
from typing import Any, Final

import polars as pl

from lab.core.tolerances import ENGINE_TOLERANCE
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
    join,
    money,
    note,
    percent,
    signed_percent,
    table,
    text,
)
from lab.report.tables import (
    extreme_trades,
    luck,
    parameter_columns,
    quality,
    recomputed_difference,
)

__all__ = [
    "certificate",
    "data_quality",
    "doubt",
    "engines",
    "folds",
    "markets",
    "provenance",
    "regimes",
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
        f"Bull: buy and hold gained more than 10% over the {window} before the bar; bear: lost more; the bar "
        "itself does not count. Bars of one regime are joined end to end."
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


def certificate(proof: Any) -> Html:
    """Return the causality certificate."""
    if proof is None:
        return note("No causality certificate was recorded; 'mnemo parity CONFIG' makes one.")
    passed = not proof.get("mismatches") and not proof.get("leaks")
    line = "Causal: every last window gives the bits of the full history." if passed else "NOT causal."
    shown = facts(
        {
            "bars checked": _maybe(proof.get("bars_checked"), count),
            "mismatches": _maybe(proof.get("mismatches"), count),
            "largest difference, ulp": _maybe(proof.get("max_ulp"), count),
            "lookback declared, bars": _maybe(proof.get("lookback_declared"), count),
            "lookback measured, bars": _maybe(proof.get("lookback_measured"), count),
        },
        name="certificate",
    )
    leaks = "".join(
        f"<li>{text(leak.get('kind'))} at bar {text(leak.get('bar'))} {text(leak.get('market'))}: "
        f"{text(leak.get('detail'))}</li>"
        for leak in proof.get("leaks") or ()
    )
    verdict_line = Html(f'<p class="{"pass" if passed else "fail"}">{text(line)}</p>')
    return join(verdict_line, shown, Html(f"<ul>{leaks}</ul>" if leaks else ""))


def data_quality(report: ReportInput) -> Html:
    """Return the marks of the bars that were read."""
    marks = report.table("quality")
    if marks is None:
        return note("The quality of the bars was not recorded.")
    columns = (
        Column("market", "market"),
        Column("bars", "bars", count),
        Column("good", "good", count),
        Column("questionable", "questionable", count),
        Column("bad", "bad", count),
        Column("reasons", "reasons"),
    )
    return table(quality(marks), columns, name="data quality")


def engines(report: ReportInput) -> Html:
    """Return how far the two engines, and the recomputed figures, are apart."""
    difference, again = report.number("engine_difference"), recomputed_difference(report)
    lines = []
    for name, value, limit in (
        ("Equity of the second, independent engine (vectorbt), relative", difference, ENGINE_TOLERANCE),
        (
            "Permitted weights when risk runs on its equity",
            report.number("risk_difference"),
            ENGINE_TOLERANCE,
        ),
        ("Figures of this page recomputed from the recorded returns, relative", again, ENGINE_TOLERANCE),
    ):
        if value is None:
            lines.append(f'<p class="note">{text(name)}: not recorded.</p>')
        else:
            state = "pass" if value <= limit else "fail"
            lines.append(
                f'<p class="{state}">{text(name)}: {text(f"{value:.2g}")} (at most {limit:.0e}).</p>'
            )
    return Html("".join(lines))


def provenance(report: ReportInput) -> Html:
    """Return hashes, versions, seed, run id and the commands that make run and page again."""
    run_id = report.text("run_id")
    settings = report.result.get("best_parameters") or report.result.get("parameters") or {}
    known = {
        "run": run_id,
        "run again": f"mnemo reproduce {run_id}" if run_id else "",
        "this page again": f"mnemo report {run_id}" if run_id else "",
        "code": report.text("code_version"),
        "strategy": " ".join(
            part for part in (report.text("family"), report.text("strategy_version")) if part
        ),
        "configuration": report.text("config_hash"),
        "data": report.text("data_hash"),
        "features": report.text("feature_hashes"),
        "trial ledger": report.text("ledger_head"),
        "result": report.text("fingerprint"),
        "seed": report.text("seed"),
        "parameters": ", ".join(f"{name} {_value(value)}" for name, value in settings.items()),
        "costs": ", ".join(
            f"{name} {_value(value)}" for name, value in (report.result.get("costs") or {}).items()
        ),
        "risk": ", ".join(
            f"{name} {_value(value)}" for name, value in (report.result.get("risk") or {}).items()
        ),
        "markets": ", ".join(report.markets),
        "started": report.text("started"),
    }
    return facts(known, name="provenance")


def _maybe(value: Any, write: Any) -> str:
    return "" if value is None else str(write(value))


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _percent_two(value: float) -> str:
    return f"{value:.2%}".replace("-", "−") if math.isfinite(value) else "–"
