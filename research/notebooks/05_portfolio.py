# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 · Portfolios
#
# Several strategies on one account: each decides on its own, its weights count by its share of the capital,
# and one risk step cuts what is too much. The bridge does the same, with the same functions.

# %% tags=["parameters"]
root = "../.."
config = "../portfolios/demo.yaml"

# %%
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl

from lab.backtest import run_backtest
from lab.data.demo import install
from lab.pipeline.inputs import load_inputs
from lab.pipeline.portfolios import backtest_portfolio
from lab.report.figures.style import axis, figure, numbers, stamps
from lab.report.palette import CATEGORIES, STRATEGY
from lab.strategies import load_portfolio

home = Path(root).resolve()
install(home)
portfolio = load_portfolio(config)
pl.DataFrame(
    {
        "instance": [instance.strategy_id for instance in portfolio.instances],
        "family": [instance.strategy.family for instance in portfolio.instances],
        "share": portfolio.allocations,
        "markets": [", ".join(instance.markets) for instance in portfolio.instances],
    }
)

# %% [markdown]
# ## Each alone

# %%
alone = {}
for instance in portfolio.instances:
    inputs = load_inputs(instance, root=home)
    weights = instance.decide(inputs.panel)
    alone[instance.strategy_id] = run_backtest(
        inputs.panel, weights, costs=instance.costs, risk=instance.risk
    )
shown = ("sharpe", "annualised_return", "annualised_volatility", "max_drawdown", "exposure")
pl.DataFrame(
    [
        {"instance": name, **{metric: round(result.metrics[metric], 3) for metric in shown}}
        for name, result in alone.items()
    ]
)

# %% [markdown]
# These single runs looked at bars that everybody knows, and were not counted: they explain, they are no
# results.
#
# ## Together
#
# Logged, counted and checked by the second engine, like every run that is kept.

# %%
run = backtest_portfolio(portfolio, root=home)
pl.DataFrame({"metric": shown, "value": [round(run.result.metrics[name], 3) for name in shown]})

# %%
lines = {name: result.equity for name, result in alone.items()} | {"portfolio": run.result.equity}
colours = [CATEGORIES[1], CATEGORIES[2], STRATEGY]
figure(
    [
        go.Scatter(
            x=stamps(equity["ts"]),
            y=numbers(equity["equity"] / equity["equity"][0]),
            name=name,
            mode="lines",
            line={"color": colour, "width": 2 if name == "portfolio" else 1.3},
            hovertemplate="%{y:.2f}",
        )
        for (name, equity), colour in zip(lines.items(), colours, strict=True)
    ],
    height=340,
    xaxis=axis(),
    yaxis=axis("growth of 1, log", type="log", dtick="D2", tickformat="~g"),
)

# %% [markdown]
# ## What each adds
#
# Correlation of daily returns where both trade; then the portfolio's Sharpe ratio without one of them, on
# the returns scaled by their shares. A rule that is merely good may add nothing; one that is different may.

# %%
table = None
for name, result in alone.items():
    part = result.returns.select("ts", pl.col("return").alias(name))
    table = part if table is None else table.join(part, on="ts", how="inner")
names = list(alone)
pl.DataFrame(np.corrcoef(table.select(names).to_numpy().T).round(2), schema=names)

# %%
returns, shares = table.select(names).to_numpy(), np.array(portfolio.allocations)


def sharpe(series):
    return float(series.mean() / series.std(ddof=1) * np.sqrt(365))


whole = sharpe(returns @ shares)
pl.DataFrame(
    {
        "left out": ["nothing", *names],
        "sharpe": [
            whole,
            *(sharpe(np.delete(returns, i, 1) @ np.delete(shares, i)) for i in range(len(names))),
        ],
    }
).with_columns(adds=pl.lit(whole) - pl.col("sharpe"))

# %% [markdown]
# ## What was held, and what risk cut

# %%
held = run.result.positions.pivot("market", index="ts", values="weight").sort("ts").fill_null(0.0)
figure(
    [
        go.Scatter(
            x=stamps(held["ts"]),
            y=numbers(held[market]),
            name=market,
            mode="lines",
            stackgroup="held",
            line={"width": 0.5, "color": CATEGORIES[number]},
            hovertemplate="%{y:.1%}",
        )
        for number, market in enumerate(name for name in held.columns if name != "ts")
    ],
    height=280,
    xaxis=axis(),
    yaxis=axis("share of equity", tickformat=".0%"),
)

# %%
run.result.risk_events.group_by("reasons").agg(weights_changed=pl.len()).sort(
    "weights_changed", descending=True
)

# %% [markdown]
# **Next:** `06_from_run_to_paper` takes a logged run to a tick of the bridge.
