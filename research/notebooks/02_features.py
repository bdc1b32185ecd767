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
# # 2 · Features
#
# A feature is a number known at the close of a bar. Does it say anything about the returns after it? Three
# questions, in order of how much they can fool you: does it order what comes after (information
# coefficient), is the order monotonous (quantiles), does a model that may use all of them need this one
# (importance on bars that it was not fitted to)? And one that cannot fool you: does it see the future
# (certificate)?

# %% tags=["parameters"]
root = "../.."
horizon = 5  # bars for which a position would be held

# %%
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl

from lab.data.catalog import Catalog
from lab.data.demo import DAILY, install
from lab.data.panels import panel_from_bars
from lab.features import compute, rsi, simple_return, slope, volatility, zscore
from lab.report.figures.style import axis, figure
from lab.report.palette import BENCHMARK, CATEGORIES, LOSS, STRATEGY
from lab.validation.causality import certify
from lab.validation.selection import (
    eliminate,
    forward_returns,
    importance,
    information,
    quantile_returns,
    samples_of,
)
from lab.validation.splits import PurgedKFold

home = Path(root).resolve()
install(home)
catalog = Catalog(home)
panel = panel_from_bars(catalog.bars(DAILY, "1d"), timeframe="1d", markets=DAILY, settings=catalog.settings)

# %% [markdown]
# ## Candidates
#
# Each declares how far it looks back. The value at t depends on that window alone, to the last bit, so that
# research and live trading get the same number.

# %%
candidates = {
    "momentum 30": simple_return(column="close", window=30),
    "momentum 90": simple_return(column="close", window=90),
    "slope 60": slope(column="close", window=60),
    "z-score 20": zscore(column="close", window=20),
    "RSI 14": rsi(column="close", window=14),
    "volatility 20": volatility(window=20),
}
pl.DataFrame(
    {
        "name": list(candidates),
        "feature": [str(f) for f in candidates.values()],
        "lookback": [f.lookback for f in candidates.values()],
    }
)

# %% [markdown]
# ## Information
#
# The label is the return that a decision at this close could have earned: bought at the next open, sold
# `horizon` opens later. With three markets the rank correlation is taken over time in each; labels that
# overlap are not counted as if they were independent, which keeps the t-statistics honest and small.

# %%
computed = compute(panel, candidates.values())
values = {name: computed[feature] for name, feature in candidates.items()}
later = {days: forward_returns(panel, days) for days in (1, 5, 10, 20, 40)}
found = information(values, later)
found.filter(pl.col("horizon") == horizon)

# %%
figure(
    [
        go.Scatter(
            x=[str(days) for days in later],
            y=part["ic"].to_list(),
            name=name,
            mode="lines+markers",
            line={"color": CATEGORIES[number % len(CATEGORIES)]},
            hovertemplate="%{y:.3f}",
        )
        for number, ((name,), part) in enumerate(found.group_by("feature", maintain_order=True))
    ],
    height=320,
    xaxis=axis("horizon, days", type="category"),
    yaxis=axis("information coefficient", zeroline=True, zerolinecolor=BENCHMARK),
)

# %% [markdown]
# ## Quantiles
#
# Is the return after high values higher than after low ones, step by step? One lucky bucket is no feature.

# %%
buckets = {name: quantile_returns(values[name], later[horizon]) for name in ("momentum 30", "RSI 14")}
figure(
    [
        go.Bar(
            x=frame["quantile"].to_list(),
            y=frame["mean"].to_list(),
            name=name,
            marker={"color": colour},
            hovertemplate="%{y:.2%}",
        )
        for (name, frame), colour in zip(buckets.items(), (STRATEGY, CATEGORIES[1]), strict=True)
    ],
    height=300,
    barmode="group",
    xaxis=axis("quantile of the feature, 1: lowest", dtick=1),
    yaxis=axis(f"mean return over {horizon} days", tickformat=".1%"),
)

# %% [markdown]
# ## Importance, out of sample
#
# A random forest is fitted on purged folds: bars whose labels reach into the test bars do not train, nor do
# the ten after them. Then each feature is shuffled in the test bars; what that costs is its importance.
# Beside every feature the model has its *shadow*, the same values in another order. What says no more than
# the best shadow says nothing, and `keep` is false.

# %%
samples = samples_of(panel, candidates, horizon=horizon)
splitter = PurgedKFold(5, embargo_size=10)
ranked = importance(samples, splitter, repeats=3)
ranked

# %%
ordered = ranked.sort("importance")
figure(
    [
        go.Bar(
            x=ordered["importance"].to_list(),
            y=ordered["feature"].to_list(),
            orientation="h",
            error_x={"type": "data", "array": ordered["deviation"].to_list(), "color": BENCHMARK},
            marker={"color": STRATEGY},
            hovertemplate="%{x:.3f}<extra></extra>",
        )
    ],
    height=300,
    showlegend=False,
    hovermode="closest",
    margin={"l": 110, "r": 12, "t": 16, "b": 48},
    shapes=[
        {
            "type": "line",
            "x0": ranked["shadow"][0],
            "x1": ranked["shadow"][0],
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": LOSS, "dash": "dot"},
        }
    ],
    xaxis=axis("loss of rank correlation when shuffled (dotted: best shadow)"),
    yaxis=axis(showgrid=False),
)

# %% [markdown]
# Leaving out the least important, again and again. Where the curve is flat, fewer features do as well.

# %%
from sklearn.linear_model import LinearRegression

ranking, path = eliminate(samples, splitter, model=LinearRegression())
path

# %% [markdown]
# What was chosen here was chosen by looking at all bars. It is a hypothesis, not a result:
# `04_walk_forward` is where it is judged, and every trial is counted.
#
# ## Certify your own function
#
# Any function of a panel can be certified: the last row of every window must give the bits of the full
# history, whatever later bars say. The first one below looks honest. It standardises by the mean and
# deviation of the whole sample, which nobody knew at the time.


# %%
def honest(panel, window):
    close = panel["close"]
    weights = np.full(close.shape, np.nan)
    weights[window:] = (close[window:] > close[:-window]) / close.shape[1]
    return weights


def peeking(panel, window):
    close = panel["close"]
    score = (close - np.nanmean(close, axis=0)) / np.nanstd(close, axis=0)
    return (score > 0) / close.shape[1]


certified = certify(honest, panel, 60, lookback=61)
caught = certify(peeking, panel, 60, lookback=61)
certified.ok, certified.lookback_measured, caught.ok

# %%
pl.DataFrame([finding.report() for finding in caught.findings]).select("kind", "market", "detail")

# %% [markdown]
# **Next:** `03_strategies_and_sweeps` turns a feature into weights.
