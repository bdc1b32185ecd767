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
# # 6 · From a run id to a paper tick
#
# What you backtested is what you trade. Three proofs, on your machine: the run comes back to the same bytes
# from its id; the last window alone gives the bits that the backtest had; and the bridge, a process of its
# own that sees bars only through an exchange, decides the same to the last bit.

# %% tags=["parameters"]
root = "../.."
config = "../strategies/demo_tsm_1d.yaml"
portfolio = "../portfolios/demo.yaml"

# %%
import json
from pathlib import Path

import polars as pl

from lab.data.demo import install
from lab.pipeline import backtest, parity, reproduce
from lab.pipeline.rehearsal import rehearse_tick
from lab.tracking import Tracker

home = Path(root).resolve()
install(home)
run = backtest(config, root=home)
print(f"run {run.run_id}: Sharpe {run.result.metrics['sharpe']:.2f}, deflated {run.deflated_sharpe:.1%}")

# %% [markdown]
# ## What the run recorded

# %%
logged = Tracker(home).load_run(run.run_id)
kept = ("code_version", "config_hash", "data_hash", "ledger_head", "seed", "engine_difference")
pl.DataFrame({"tag": kept, "value": [str(logged.tags.get(name, ""))[:44] for name in kept]})

# %%
sorted(logged.artifacts)

# %% [markdown]
# ## Again, from the id alone

# %%
again = reproduce(run.run_id, root=home)
print(f"identical: {again.identical}; compared: {', '.join(again.compared)}")
assert again.identical, again.differences

# %% [markdown]
# ## The last window alone
#
# Every bar of history is cut off and decided again from its last window, features and all; and again with
# other futures. The certificate says how many bars were asked and what differed.

# %%
certificate = parity(config, root=home)
proof = certificate.report()
assert certificate.ok, certificate.findings
{name: value for name, value in proof.items() if name != "leaks"}

# %% [markdown]
# ## A tick on paper
#
# The loopback exchange serves the stored bars on 127.0.0.1 as an exchange would. The bridge runs once at
# midnight of 1 July 2019, asks it for complete bars, decides, sizes and fills on paper; then its decision
# is compared with the lab's.

# %%
told = rehearse_tick(Path(portfolio), root=home)
assert told["mismatches"] == 0
told

# %%
tick = json.loads((home / "data" / "live" / "demo" / "tick.json").read_text())
pl.DataFrame(tick["decisions"]).select("instance", "market", "bar", "weight", "weight_hex", "permitted")

# %%
pl.DataFrame(tick["orders"]).select("symbol", "side", "quantity", "price", "status", "fill_price", "fee")

# %% [markdown]
# In production the same command stands in a crontab, against a real exchange and a file with `mode: paper`
# (`research/bridge.example.yaml`): `live-bridge run --config bridge.yaml`.
