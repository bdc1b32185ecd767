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
# # 3 · Strategies and sweeps
#
# A strategy is a function from features to target weights. Everything else either feeds it or judges it.
# Here: one decision explained, one backtest in two engines, and a landscape of parameters.

# %% tags=["parameters"]
root = "../.."
config = "../strategies/demo_tsm_1d.yaml"

# %%
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl

from lab.backtest import run_backtest
from lab.data.demo import install
from lab.pipeline.inputs import load_inputs
from lab.pipeline.sweeps import sweep
from lab.report.figures.style import axis, figure, label, numbers, stamps
from lab.report.palette import BENCHMARK, LOSS, STRATEGY, SURFACE
from lab.search import Ledger
from lab.strategies import diagnose

home = Path(root).resolve()
install(home)
inputs = load_inputs(config, root=home)
instance, panel = inputs.instance, inputs.panel
instance.params

# %% [markdown]
# ## One decision, explained
#
# Beside the weights come the scores and filters they rest on, and a reason. Nothing on the way to an order
# reads them: they are for people.

# %%
told = diagnose(instance.strategy, panel, instance.params)
told.frame(panel).tail(5)

# %%
told.frame(panel).group_by("reasons").agg(days=pl.len()).sort("days", descending=True)

# %% [markdown]
# ## One backtest, two engines
#
# Weights known at a close trade at the next open, after costs, within the file's limits. A fused kernel and
# vectorbt keep the accounts apart; how far they differ is stored with the result.

# %%
weights = instance.decide(panel)
result = run_backtest(panel, weights, costs=instance.costs, risk=instance.risk, engine="both")
print(f"largest difference between the engines: {result.engine_difference:.1e} of equity")
shown = ("sharpe", "annualised_return", "annualised_volatility", "max_drawdown", "turnover", "exposure")
pl.DataFrame({"metric": shown, "value": [round(result.metrics[name], 3) for name in shown]})

# %%
bitcoin = panel["received_close"][:, 0]
start = int(np.flatnonzero(np.isfinite(bitcoin))[0])
figure(
    [
        go.Scatter(
            x=stamps(result.equity["ts"]),
            y=numbers(result.equity["equity"] / result.cash),
            name="strategy",
            mode="lines",
            line={"color": STRATEGY, "width": 2},
            hovertemplate="%{y:.2f}",
        ),
        go.Scatter(
            x=stamps(pl.Series(panel.ts).dt.replace_time_zone("UTC")),
            y=bitcoin / bitcoin[start],
            name="bitcoin",
            mode="lines",
            line={"color": BENCHMARK, "width": 1.4},
            hovertemplate="%{y:.2f}",
        ),
    ],
    height=340,
    xaxis=axis(),
    yaxis=axis("growth of 1, log", type="log", dtick="D2", tickformat="~g"),
)

# %% [markdown]
# That was one look at all of history. It is no result: the parameters were written down by people who had
# seen these bars.
#
# ## The landscape
#
# All combinations of two parameters, in one pass. Every one of them is a trial, and the ledger counts it:
# whatever is chosen from this picture is deflated by all of it.

# %%
grid = {"lookback_window": list(range(10, 181, 5)), "vol_window": list(range(10, 61, 5))}
run = sweep(config, grid, root=home)
frame = run.frame().select("lookback_window", "vol_window", "sharpe", "max_drawdown").collect()
frame.sort("sharpe", descending=True).head(3)

# %%
wide = frame.pivot("lookback_window", index="vol_window", values="sharpe").sort("vol_window")
surface = np.array(wide.drop("vol_window").rows())
reach = float(np.nanmax(np.abs(surface)))
figure(
    [
        go.Surface(
            x=grid["lookback_window"],
            y=grid["vol_window"],
            z=surface,
            cmid=0.0,
            cmin=-reach,
            cmax=reach,
            colorscale=[[0.0, LOSS], [0.5, SURFACE], [1.0, STRATEGY]],
            colorbar={"thickness": 10, "title": {"text": "Sharpe"}},
            hovertemplate="lookback %{x}, volatility %{y}: %{z:.2f}<extra></extra>",
        )
    ],
    height=460,
    showlegend=False,
    margin={"l": 0, "r": 0, "t": 10, "b": 0},
    scene={
        "xaxis": {"title": {"text": "lookback, days"}},
        "yaxis": {"title": {"text": "volatility window, days"}},
        "zaxis": {"title": {"text": "Sharpe"}},
        "camera": {"eye": {"x": -1.5, "y": -1.5, "z": 0.9}},
    },
)

# %% [markdown]
# The same from above. A rule that works lies on a plateau: its neighbours do about as well. A lone peak is
# a lucky draw.

# %%
figure(
    [
        go.Heatmap(
            x=grid["lookback_window"],
            y=grid["vol_window"],
            z=surface,
            zmid=0.0,
            zmin=-reach,
            zmax=reach,
            colorscale=[[0.0, LOSS], [0.5, SURFACE], [1.0, STRATEGY]],
            colorbar={"thickness": 10},
            hovertemplate="lookback %{x}, volatility %{y}: %{z:.2f}<extra></extra>",
        )
    ],
    height=320,
    showlegend=False,
    hovermode="closest",
    xaxis=axis(label("lookback_window"), showgrid=False),
    yaxis=axis(label("vol_window"), showgrid=False),
)

# %%
checked = Ledger(home).verify()
print(f"{frame.height} sets in this sweep; {checked.trials:,} trials on record, chain intact")
assert checked.trials >= frame.height

# %% [markdown]
# **Next:** `04_walk_forward` chooses on one stretch and judges on the next.
