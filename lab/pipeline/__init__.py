"""The shell: load, call, count, save. Everything a researcher calls goes through here and is counted."""

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
