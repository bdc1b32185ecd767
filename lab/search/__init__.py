"""Walk-forward search and the ledger of everything that was ever tried."""

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
