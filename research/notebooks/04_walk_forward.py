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
# # 4 · Walk-forward and validation
#
# In every fold the best parameters of the training bars are tested on the bars after it. The tests joined
# are the result. Then the question that matters: is it more than the luck of so many trials?

# %% tags=["parameters"]
root = "../.."
config = "../strategies/demo_dual_momentum_1d.yaml"
trials = 20  # parameter sets per fold
seed = 7

# %%
from pathlib import Path

import numpy as np
import polars as pl
from IPython.display import HTML

from lab.data.demo import install
from lab.pipeline import tune
from lab.report import ReportInput, blocks, figures, tables
from lab.tracking import Tracker, search_runs
from lab.validation.bootstrap import stationary_bootstrap
from lab.validation.overfitting import expected_max_sharpe, min_backtest_length
from lab.validation.splits import WalkForward

home = Path(root).resolve()
install(home)

# %% [markdown]
# ## Folds
#
# Training bars, a purged bar, then the test: what a splitter does to 24 bars, printed so that leakage would
# show.

# %%
for fold, (train, test) in enumerate(WalkForward(train_size=10, test_size=5, purged_size=1).split(24)):
    print(f"fold {fold}: train {train[0]:>2} … {train[-1]:>2}   test {test[0]:>2} … {test[-1]:>2}")

# %% [markdown]
# ## The search

# %%
run = tune(config, root=home, seed=seed, trials=trials)
found = run.search
found.folds.select(
    "fold", "test_start", "test_end", "trials", "train_sharpe", "test_sharpe", "test_total_return"
)

# %%
figures.evidence.folds(found.folds, found.trials)

# %%
figures.evidence.degradation(found.folds)

# %% [markdown]
# ## Luck
#
# The expected best of N trials without any skill grows with N, so a Sharpe ratio means nothing without it.
# Nobody types N: the ledger counted it.

# %%
print(f"Sharpe ratio out of sample     {found.oos.metrics['sharpe']:6.2f}")
print(f"distinct trials on record      {found.n_trials:6d}")
print(f"best of as many, by luck       {found.expected_max_sharpe:6.2f}")
print(f"deflated Sharpe ratio          {found.deflated_sharpe:6.1%}")
print(f"probability of overfitting     {found.pbo:6.1%}")
print(f"years to believe a Sharpe of 1 {min_backtest_length(found.n_trials, target_sharpe=1.0):6.1f}")

# %%
pl.DataFrame({"trials": [1, 10, 100, 1_000, 10_000]}).with_columns(
    best_by_luck=pl.col("trials").map_elements(
        lambda count: 0.0 if count == 1 else round(expected_max_sharpe(count), 2), return_dtype=pl.Float64
    )
)

# %% [markdown]
# In standard errors of one trial's Sharpe ratio. And how uncertain is the ratio itself? Blocks of returns
# are drawn again and again, so that what hangs together stays together:

# %%
returns = found.oos.returns["return"].to_numpy()


def annual_sharpe(sample):
    return sample.mean() / sample.std(ddof=1) * np.sqrt(365)


interval = stationary_bootstrap(returns, annual_sharpe, resamples=1_000, seed=seed)
interval

# %% [markdown]
# ## The report
#
# The run is logged; from its id alone the tearsheet is written again, and the run rebuilt to the same bytes
# (`06_from_run_to_paper`).

# %%
logged = Tracker(home).load_run(run.run_id)
report = ReportInput.read(logged.artifacts["result.json"].parent, {"run_id": run.run_id})
HTML(blocks.headline(report).markup)

# %%
account = tables.account(report)
figures.performance.growth(
    account, tables.drawdown_periods(account), folds=found.folds, in_sample=report.table("in_sample")
)

# %%
print(f"the whole page: mnemo report {run.run_id}")

# %% [markdown]
# ## All runs like this one
#
# Runs carry tags for what they depend on; any of them finds its runs again, here and in `mnemo ui`.

# %%
runs = search_runs(home, tags={"family": "dual_momentum", "data_hash": report.text("data_hash")})
runs.select("name", "kind", "started", "metric.sharpe", "metric.deflated_sharpe", "metric.n_trials")

# %% [markdown]
# **Next:** `05_portfolio` puts several rules on one account.
