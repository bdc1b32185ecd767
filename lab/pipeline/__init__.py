"""The shell: load, call, count, save. Everything a researcher calls goes through here and is counted.

Examples
--------
On the bundled bars, under a root of its own:

>>> import tempfile
>>> from datetime import UTC, datetime
>>> from pathlib import Path
>>> from lab.data.demo import install
>>> root = Path(tempfile.mkdtemp())
>>> _ = install(root)
>>> file = root / "tsm.yaml"
>>> _ = file.write_text(
...     "{family: time_series_momentum, strategy_id: tsm_btc, version: 1.0.0, timeframe: 1d, "
...     "markets: [{exchange: bitstamp, symbol: BTC/USD}], parameters: {lookback_window: 90}}"
... )
>>> looked = backtest(file, root=root)
>>> looked.document["status"], looked.n_trials
('OK', 1)
>>> swept = sweep(file, {"lookback_window": [30, 60, 90]}, root=root)
>>> swept.document["sets_run"], swept.frame().collect().height, swept.document["n_trials_ledger"]
(3, 3, 3)
>>> found = tune(file, root=root, trials=2, seed=7, start=datetime(2018, 4, 1, tzinfo=UTC), log_trials=0)
>>> found.document["folds"], found.document["trials"]
(1, 2)
"""

from lab.pipeline.campaign import CampaignRun, run_campaign
from lab.pipeline.exporting import export_run
from lab.pipeline.parity import parity
from lab.pipeline.reproduction import Reproduction, reproduce
from lab.pipeline.runs import BacktestRun, backtest
from lab.pipeline.sweeps import SweepRun, sweep
from lab.pipeline.tuning import TuneRun, tune
from lab.pipeline.validation import Validation, validate

__all__ = [
    "BacktestRun",
    "CampaignRun",
    "Reproduction",
    "SweepRun",
    "TuneRun",
    "Validation",
    "backtest",
    "export_run",
    "parity",
    "reproduce",
    "run_campaign",
    "sweep",
    "tune",
    "validate",
]
