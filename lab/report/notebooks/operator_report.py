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
# # The operator's report
#
# Copy this file, change what you like and pass it to `mnemo operator-report --notebook`. A markdown cell that
# begins with `## ` opens a section of the page; cells tagged `hide` stay off it.

# %% tags=["parameters"]
folder = ""  # holds journal.sqlite and context.json

# %% tags=["hide"]
from lab.report.operator import OperatorInput, blocks, figures
from lab.report.page.markup import note

report = OperatorInput.read(folder)
daily, ticks, limits = report.daily(), report.within("ticks"), report.limits()

# %%
blocks.headline(report)

# %% [markdown]
# ## Profit and loss

# %%
figures.equity(
    daily, report.period.start.date().isoformat(), report.period.end.date().isoformat()
) if daily.height else note("No tick has closed yet.")

# %%
blocks.days(report.days_within())

# %% [markdown]
# ## Exposure

# %%
figures.holdings(report.within("holdings"), ticks) if ticks.height else note("No tick in this period.")

# %% [markdown]
# ## Limits

# %%
figures.use_of_limits(limits) if limits.height else None

# %%
blocks.limits(limits)

# %% [markdown]
# ## Incidents

# %%
blocks.incidents(report.incidents())

# %% [markdown]
# ## Demotion
# When an account falls behind what its backtest promised, it goes back a stage.

# %%
blocks.criteria(report.criteria())

# %% [markdown]
# ## Trades

# %%
blocks.fills(report.within("fills"))

# %% [markdown]
# ## Provenance

# %%
blocks.provenance(report)
