"""Searches that a child process runs and a parent kills, and everything that they found, as bytes."""

from __future__ import annotations

import pickle
from pathlib import Path

from feature_store.atomic import parquet_bytes, write_bytes
from lab.search import Ledger, walk_forward
from lab.validation.splits import WalkForward
from tests.oracle.search import instance_of, world

SPLITTER = WalkForward(train_size=80, test_size=60, purged_size=1)
TRIALS = 48
RESULT = "result.pickle"


def bytes_of(found):
    """Everything that a search returns, as bytes and exact numbers."""
    tables = {
        "trials": found.trials,
        "folds": found.folds,
        "weights": found.oos_weights,
        "equity": found.oos.equity,
        "orders": found.oos.orders,
        "trades": found.oos.trades,
    }
    figures = (found.best_params, found.deflated_sharpe, found.pbo, found.n_trials, found.ledger_head)
    return {**{name: parquet_bytes(table) for name, table in tables.items()}, "figures": repr(figures)}


def search(root: Path, sampler: str, workers: int, told=None) -> None:
    """Run a search that stores its progress under `root`, and write what it found there."""
    seen = (lambda done, total: told.set()) if told is not None else None
    found = walk_forward(
        instance_of(root, sampler),
        world(1),
        splitter=SPLITTER,
        trials=TRIALS,
        seed=3,
        workers=workers,
        ledger=Ledger(root),
        resume=root / "data" / "tunes",
        progress=seen,
    )
    write_bytes(root / RESULT, pickle.dumps(bytes_of(found)))


def found_in(root: Path):
    """What a finished search left: its result, and the ledger to the byte."""
    return pickle.loads((root / RESULT).read_bytes()), Ledger(root).path.read_bytes()
