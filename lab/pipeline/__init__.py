"""The shell: load, call, count, save. Everything a researcher calls goes through here and is counted."""

from lab.pipeline.parity import parity
from lab.pipeline.reproduction import Reproduction, reproduce
from lab.pipeline.runs import BacktestRun, backtest
from lab.pipeline.tuning import TuneRun, tune

__all__ = ["BacktestRun", "Reproduction", "TuneRun", "backtest", "parity", "reproduce", "tune"]
