"""The parts of a search that are runs of their own: folds, the winner, the best trials."""

from __future__ import annotations

from typing import Any, Final

from lab.search import WalkForwardResult
from lab.tracking import ChildRecord

__all__ = ["DEFAULT_LOGGED_TRIALS", "parameters_of", "parts_of"]

# More of them make the list of runs unreadable; all trials are in one table anyway.
DEFAULT_LOGGED_TRIALS: Final = 20
_PREFIX: Final = "parameter_"
_OF_A_FOLD: Final = ("train_sharpe", "test_sharpe", "test_total_return", "test_max_drawdown", "trials")
_OF_A_TRIAL: Final = ("total_return", "max_drawdown", "turnover", "time_in_market")


def parts_of(found: WalkForwardResult, trials: int = DEFAULT_LOGGED_TRIALS) -> tuple[ChildRecord, ...]:
    """Return what becomes child runs: every fold, the winner, and the `trials` best in training.

    Their metrics are named by the bars they are of (``train_``, ``test_``, ``oos_``), so that a column of
    the table of runs holds one kind of figure.
    """
    folds = [_fold(row) for row in found.folds.iter_rows(named=True)]
    return (*folds, _winner(found), *_best(found, trials))


def parameters_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters in a row of folds or trials."""
    return {name.removeprefix(_PREFIX): value for name, value in row.items() if name.startswith(_PREFIX)}


def _fold(row: dict[str, Any]) -> ChildRecord:
    return ChildRecord(
        name=f"fold {row['fold']:02d}",
        params=parameters_of(row),
        metrics={name: float(row[name]) for name in _OF_A_FOLD},
        tags={"part": "fold", "test_start": str(row["test_start"]), "test_end": str(row["test_end"])},
    )


def _winner(found: WalkForwardResult) -> ChildRecord:
    """Return the parameters that would trade next, with the out-of-sample path that speaks for them."""
    metrics = {
        f"oos_{name}": found.oos.metrics[name]
        for name in ("sharpe", "total_return", "max_drawdown", "turnover", "time_in_market")
    }
    last = found.folds.row(-1, named=True)
    return ChildRecord(
        name="winner",
        params=found.best_params,
        metrics={
            "train_sharpe": last["train_sharpe"],
            **metrics,
            "deflated_sharpe": found.deflated_sharpe,
        },
        tags={"part": "winner", "chosen_in_fold": str(last["fold"])},
    )


def _best(found: WalkForwardResult, count: int) -> list[ChildRecord]:
    best = found.trial_table.best(count)
    return [
        ChildRecord(
            name=f"trial {rank:02d}",
            params=parameters_of(row),
            metrics={
                "train_sharpe": row["sharpe"],
                **{f"train_{name}": row[name] for name in _OF_A_TRIAL},
            },
            tags={"part": "trial", "fold": str(row["fold"]), "number": str(row["number"])},
        )
        for rank, row in enumerate(best.iter_rows(named=True), start=1)
    ]
