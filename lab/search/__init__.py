"""Walk-forward search and the ledger of everything that was ever tried.

Examples
--------
One market, three folds, four sets of parameters in each; trials are kept in memory where no ledger is given:

>>> import tempfile
>>> from pathlib import Path
>>> from lab.core.panel import Panel
>>> from lab.data.synthetic import synthetic_market
>>> from lab.strategies import load
>>> from lab.validation.splits import WalkForward
>>> file = Path(tempfile.mkdtemp()) / "tsm.yaml"
>>> _ = file.write_text(
...     "{family: time_series_momentum, strategy_id: tsm, version: 1.0.0, timeframe: 1d, "
...     "markets: [{exchange: synthetic, symbol: AAA/USDT}], parameters: {lookback_window: 30}}"
... )
>>> bars = synthetic_market(markets=1, bars=700, timeframe="1d", seed=3)
>>> splitter = WalkForward(train_size=200, test_size=100, purged_size=1)
>>> found = walk_forward(load(file), Panel.from_frame(bars), splitter=splitter, trials=4, seed=7)
>>> found.folds.height, found.trials.height, found.status
(3, 12, 'OK')
"""

from lab.search.checkpoint import discard
from lab.search.effective import effective_of
from lab.search.ledger import Ledger, LedgerError, LedgerReport, MemoryLedger
from lab.search.result import WalkForwardResult
from lab.search.sketches import sketch
from lab.search.trials import (
    DataIdentity,
    Judgement,
    TrialBatch,
    cost_hash,
    judge_batches,
    panel_hash,
    parameter_hash,
    risk_hash,
)
from lab.search.walk_forward import walk_forward

__all__ = [
    "DataIdentity",
    "Judgement",
    "Ledger",
    "LedgerError",
    "LedgerReport",
    "MemoryLedger",
    "TrialBatch",
    "WalkForwardResult",
    "cost_hash",
    "discard",
    "effective_of",
    "judge_batches",
    "panel_hash",
    "parameter_hash",
    "risk_hash",
    "sketch",
    "walk_forward",
]
