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

# %% [markdown] tags=["hide"]
# # Tearsheet
#
# Copy this file, change what you like and pass it to `lab.report.tearsheet(..., notebook=...)`. To work on
# it in JupyterLab, set `folder` to the folder of a run's artifacts and run the cells. A markdown cell that
# begins with `## ` opens a section of the page; cells tagged `half` share a row; those tagged `hide` stay
# off it.

# %% tags=["parameters"]
folder = ""  # of the run's artifacts
run: dict[str, object] = {}  # what the run's record says beside them: run_id, tags, …
drawdowns_shown = 5
markets_shown = 8
window_days = 90  # of rolling figures and regimes

# %% tags=["hide"]
from lab.report import ReportInput, blocks, figures, tables

report = ReportInput.read(folder, run)
account = tables.account(report)
worst = tables.drawdown_periods(account, worst=drawdowns_shown)
window = tables.bars_in(report.timeframe, days=window_days, of=account.height)
span = tables.span_text(report.timeframe, window)
folds, trials, trades = (report.table(name) for name in ("folds", "trials", "trades"))

# %%
blocks.headline(report)

# %% [markdown]
# ## Growth

# %%
blocks.ground(report)

# %%
figures.performance.growth(account, worst, folds=folds, in_sample=report.table("in_sample"))

# %%
blocks.drawdowns(worst)

# %% [markdown]
# ## Figures

# %%
blocks.figures_of_merit(report)

# %% [markdown]
# ## Calendar

# %%
blocks.heat_map(account)

# %%
blocks.years(tables.yearly(account, periods_per_year=report.periods_per_year))

# %% [markdown]
# ## Luck
# A Sharpe ratio is an estimate, and the best of many trials is a lucky one. The deflated Sharpe ratio is the
# probability that it is above what the trials on record give without any skill.

# %% tags=["half"]
blocks.doubt(report)

# %% tags=["half"]
figures.evidence.luck(tables.luck(report))

# %% [markdown]
# ## Walk-forward
# In every fold the parameters that did best in training are tested on the bars after it.

# %% tags=["half"]
figures.evidence.folds(folds, trials) if folds is not None else blocks.note(
    "Not walked forward: one set of parameters on all bars."
)

# %% tags=["half"]
figures.evidence.degradation(folds) if folds is not None else None

# %%
blocks.fold_summary(folds) if folds is not None else None

# %%
blocks.folds(folds) if folds is not None else None

# %% [markdown]
# ## Parameters
# A result that rests on skill lies on a plateau: neighbouring parameters do about as well.

# %% tags=["half"]
varying = tables.varying_parameters(trials) if trials is not None else ()
figures.parameters.plateau(
    tables.plateau(trials, varying[:2]), varying[:2], tables.chosen(folds, varying[:2])
) if trials is not None and varying else blocks.note("No trials of several parameters were recorded.")

# %% tags=["half"]
figures.parameters.slices(trials, varying) if trials is not None and varying else None

# %%
logits = report.table("pbo")
figures.parameters.overfitting(logits["logit"]) if logits is not None else None

# %% [markdown]
# ## Rolling
# Over the last 90 days at every bar, unless the sample is shorter; annualised.

# %%
rolling = tables.rolling(account, window=window, periods_per_year=report.periods_per_year)
figures.performance.rolling(rolling, window=span)

# %% [markdown]
# ## Distribution

# %% tags=["half"]
bins = tables.histogram(account["return"])
figures.performance.histogram(bins, bar=str(report.timeframe)) if bins.height else blocks.note(
    "The account never moved."
)

# %% tags=["half"]
figures.performance.quantiles(
    tables.normal_quantiles(account["return"]), bar=str(report.timeframe)
) if bins.height else None

# %%
blocks.tails(tables.distribution(account["return"]))

# %% [markdown]
# ## Regimes

# %%
regimes = tables.regimes(account, window=window, periods_per_year=report.periods_per_year)
blocks.regimes(regimes, window=span) if regimes.height else blocks.note(
    "Buy and hold was not recorded, or the sample is too short to tell regimes."
)

# %% [markdown]
# ## Positions

# %%
held = tables.held_weights(report, markets=markets_shown)
figures.trading.weights(held) if held is not None else blocks.note("Positions were not recorded.")

# %%
returns = report.table("returns")
figures.trading.costs(tables.monthly_trading(returns)) if returns is not None else blocks.note(
    "Turnover and costs were not recorded."
)

# %%
blocks.risk_actions(report.table("risk_events")) if "risk_events" in report.tables else None

# %%
blocks.decisions(report.table("diagnostics"))

# %% [markdown]
# ## Trades
# Entries open a position, exits leave nothing of it; fills that only change its size are not drawn.

# %%
bars = report.table("bars")
traded = tables.by_market(trades)["market"].to_list() if trades is not None else []
figures.trading.prices(
    {
        market: (tables.market_prices(bars, market, within=account["ts"]), tables.fills(report, market))
        for market in dict.fromkeys([*traded, *report.markets])
    }
) if bars is not None else blocks.note("Prices were not recorded.")

# %%
blocks.markets(tables.by_market(trades)) if trades is not None else blocks.note("There were no trades.")

# %%
blocks.trades(trades) if trades is not None else None

# %% [markdown]
# ## Proof
# What was checked before this page was made.

# %%
blocks.engines(report)

# %%
blocks.certificate(report.certificate)

# %%
blocks.data_quality(report)

# %% [markdown]
# ## Provenance

# %%
blocks.provenance(report)
