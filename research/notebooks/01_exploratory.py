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
# # 1 · What the data are
#
# Before a rule is written: are the bars whole, what is odd about them, and what kinds of weather have these
# markets been through? Everything here runs on the bundled daily bars of bitcoin, ether and litecoin.

# %% tags=["parameters"]
root = "../.."  # folder that holds data/, mlruns/ and reports/

# %%
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl

from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.demo import DAILY, install
from lab.data.heatmap import monthly_quality
from lab.data.panels import panel_from_bars
from lab.data.sql import query
from lab.features import compute, simple_return, trend_regime, volatility
from lab.report.figures.style import axis, figure, label, stamps
from lab.report.palette import CATEGORIES, GAIN, LOSS, MUTED

home = Path(root).resolve()
verdicts = install(home)  # changes nothing when the bars are there
catalog = Catalog(home)
catalog.markets("1d")

# %% [markdown]
# ## Whole?
#
# Every bar is kept as received; marks are made when reading. `GOOD` is used as it is, `QUESTIONABLE` by the
# policy of its reason, `BAD` never. All three markets miss the same twelve days of March 2019: a hole of
# the source, not of the markets. Longer holes than one bar are never filled.

# %%
marked = catalog.bars(DAILY, "1d")
marked.group_by("market", "quality", "reason").agg(bars=pl.len()).sort("market", "quality", "reason")

# %%
months = monthly_quality(marked, "1d").with_columns(share=pl.col("good") / pl.col("expected"))
figure(
    [
        go.Heatmap(
            x=part["month"].to_list(),
            y=[label(market)] * part.height,
            z=part["share"].to_list(),
            zmin=0.0,
            zmax=1.0,
            colorscale=[[0.0, LOSS], [0.9, "#f2d9a0"], [1.0, GAIN]],
            showscale=False,
            hovertemplate="%{x}: %{z:.0%} good<extra></extra>",
        )
        for (market,), part in months.group_by("market", maintain_order=True)
    ],
    height=200,
    showlegend=False,
    hovermode="closest",
    xaxis=axis(showgrid=False, type="category", nticks=12),
    yaxis=axis(showgrid=False),
)

# %% [markdown]
# The same files answer SQL; nothing is copied:

# %%
query(
    """
    SELECT market, count(*) AS bars, min(ts)::DATE AS first, max(ts)::DATE AS last,
           round(median(volume * close)) AS median_turnover
    FROM bars WHERE timeframe = '1d' GROUP BY market ORDER BY market
    """,
    root=home,
)

# %% [markdown]
# ## The panel
#
# What a strategy sees: a full calendar grid, one row per day, NaN where nothing was received. A lookback of
# 90 bars is 90 days, hole or not.

# %%
panel: Panel = panel_from_bars(marked, timeframe="1d", markets=DAILY, settings=catalog.settings)
panel.shape, int(np.isnan(panel["close"][:, 0]).sum()), str(panel.ts[0])[:10], str(panel.ts[-1])[:10]

# %%
days = stamps(pl.Series(panel.ts).dt.replace_time_zone("UTC"))
figure(
    [
        go.Scatter(
            x=days,
            y=panel["close"][:, column],
            name=label(market),
            mode="lines",
            line={"color": CATEGORIES[column], "width": 1.6},
            hovertemplate="%{y:,.0f}",
        )
        for column, market in enumerate(panel.markets)
    ],
    height=330,
    xaxis=axis(),
    yaxis=axis("price in USD, log", type="log", dtick=1),
)

# %% [markdown]
# ## Weather
#
# Two features describe it: the state of the trend (above or below its 200-day mean) and volatility over 30
# days, annualised. Both know only what was known at the close of each day.

# %%
trend, swings = trend_regime(50, 200), volatility(window=30)
weather = compute(panel, [trend, swings])
bitcoin = panel.markets.index("bitstamp:BTC/USD")
state = weather[trend][:, bitcoin]
colours = {1.0: GAIN, 0.0: MUTED, -1.0: LOSS}
names = {1.0: "rising", 0.0: "neither", -1.0: "falling"}
figure(
    [
        go.Scatter(
            x=days,
            y=np.where(state == value, panel["close"][:, bitcoin], np.nan),
            name=names[value],
            mode="markers",
            marker={"size": 3, "color": colours[value]},
            hovertemplate="%{y:,.0f}",
        )
        for value in (1.0, 0.0, -1.0)
    ],
    height=330,
    xaxis=axis(),
    yaxis=axis("BTC in USD, log", type="log", dtick=1),
)

# %% [markdown]
# What the next day brought in each state. Mind the standard errors: the mean of some hundred days is hardly
# known, while their volatility is, and sizing can use that.

# %%
daily = simple_return(column="close", window=1)
later = np.append(compute(panel, [daily])[daily][1:, bitcoin], np.nan)
known = pl.DataFrame({"state": state, "later": later})
(
    known.filter(pl.col("state").is_finite(), pl.col("later").is_finite())
    .group_by(pl.col("state").replace_strict(names).alias("trend"))
    .agg(
        days=pl.len(),
        mean_next_day=pl.col("later").mean(),
        standard_error=pl.col("later").std() / pl.len().sqrt(),
        annual_volatility=pl.col("later").std() * np.sqrt(365),
        worst=pl.col("later").min(),
    )
    .sort("trend")
)

# %%
figure(
    [
        go.Scatter(
            x=days,
            y=weather[swings][:, column] * np.sqrt(365),
            name=label(market),
            mode="lines",
            line={"color": CATEGORIES[column], "width": 1.4},
            hovertemplate="%{y:.0%}",
        )
        for column, market in enumerate(panel.markets)
    ],
    height=280,
    xaxis=axis(),
    yaxis=axis("volatility a year", tickformat=".0%"),
)

# %% [markdown]
# How much the three are one bet: correlation of daily returns, where all are known.

# %%
changes = np.diff(np.log(panel["close"]), axis=0)
together = changes[np.isfinite(changes).all(axis=1)]
pl.DataFrame(np.corrcoef(together.T).round(2), schema=list(panel.markets))

# %% [markdown]
# **Next:** `02_features` asks which numbers say something about tomorrow.
