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
# # Comparison of several runs
#
# Copy this file, change what you like and pass it to `lab.report.compare_runs(..., notebook=...)`. A markdown
# cell that begins with `## ` opens a section of the page; cells tagged `half` share a row, and those tagged
# `hide` stay off it.

# %% tags=["parameters"]
folders: list[str] = []  # of the runs' artifacts
runs: list[dict[str, object]] = []  # what their records say beside them: run_id, tags, …
shares: list[float] = []  # of each run in the combined portfolio; empty: equal ones

# %% tags=["hide"]
from lab.report.comparison import ComparisonInput, blocks, figures, tables

report = ComparisonInput.read(folders, runs, shares)
wealth = tables.wealth(report)
correlation = tables.correlation_of_runs(report)
marginal = tables.marginal(report)

# %%
blocks.headline(report, correlation, marginal)

# %% [markdown]
# ## Growth
# Net of costs, from the first period that all runs have. Combined: every run has its share again at the start
# of each period.

# %%
figures.growth(wealth)

# %%
figures.drawdowns(wealth)

# %% [markdown]
# ## Figures

# %%
blocks.figures(report)

# %% [markdown]
# ## Correlation
# Of returns by period: of all, and of the tenth of them in which buy and hold did worst, when it matters.

# %% tags=["half"]
blocks.correlations(correlation, name="correlation of runs")

# %% tags=["half"]
blocks.correlations(tables.correlation_of_runs(report, bad=True), name="correlation of runs in bad periods")

# %% [markdown]
# ## Families
# A family's return is the mean of its runs'.

# %%
blocks.correlations(tables.correlation_of_families(report), name="correlation of families")

# %% [markdown]
# ## Contribution
# What each run brings to the combined portfolio, in return and in risk.

# %%
figures.contributions(marginal)

# %%
blocks.marginal(marginal)

# %% [markdown]
# ## Years

# %%
blocks.years(tables.years(report))

# %% [markdown]
# ## Provenance

# %%
blocks.provenance(report)
