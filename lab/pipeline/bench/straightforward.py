"""The script that most people write: Optuna, pandas, a vectorbt portfolio and an MLflow run per trial."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["prepare_database", "run_script"]


def prepare_database(folder: Path) -> None:
    """Let MLflow make its database, which takes seconds once."""
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("straightforward")


def run_script(
    opens: Any,
    closes: Any,
    start: int,
    *,
    sampler: str,
    space: Mapping[str, Sequence[float]],
    first: Sequence[Mapping[str, float]],
    trials: int,
    costs: tuple[float, float],
    folder: Path,
) -> list[float]:
    """Search one training window and return the Sharpe ratios of the trials, in order.

    Parameters
    ----------
    opens, closes : pandas.DataFrame
        Warm-up and training bars; one column per market.
    start : int
        First training bar.
    sampler : {"grid", "qmc", "tpe"}
    space : mapping of str to sequence of float
        Values per parameter.
    first : sequence of mappings
        Sets to begin with, for comparison.
    trials : int
        In all.
    costs : (float, float)
        Fee and slippage, fractions.
    folder : Path
        With MLflow's database.
    """
    import mlflow
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    prepare_database(folder)
    samplers: dict[str, Callable[[], Any]] = {
        "grid": lambda: optuna.samplers.GridSampler(space, seed=0),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=0, scramble=True, warn_asynchronous_seeding=False),
        "tpe": lambda: optuna.samplers.TPESampler(seed=0),
    }
    found: list[float] = []

    def objective(trial: Any) -> float:
        values = {name: trial.suggest_categorical(name, list(options)) for name, options in space.items()}
        with mlflow.start_run(nested=True):
            figures = _backtest(opens, closes, start, values, costs)
            mlflow.log_params(values)
            mlflow.log_metrics(figures)
        found.append(figures["sharpe"])
        return figures["sharpe"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction="maximize", sampler=samplers[sampler]())
        for one in first:
            study.enqueue_trial(dict(one))
        with mlflow.start_run():
            study.optimize(objective, n_trials=trials)
    return found


def _backtest(
    opens: Any, closes: Any, start: int, values: Mapping[str, float], costs: tuple[float, float]
) -> dict[str, float]:
    """Time-series momentum in pandas, simulated by vectorbt."""
    import numpy as np
    import vectorbt as vbt

    window = int(values["vol_window"])
    past = closes / closes.shift(int(values["lookback_window"])) - 1.0
    changes = np.log(closes / closes.shift(1))
    volatility = changes.rolling(window, min_periods=math.ceil(0.8 * window)).std() * math.sqrt(365)
    scale = (values["target_volatility"] / volatility).clip(upper=1.0) / closes.shape[1]
    weights = scale.where(past > values["threshold"], 0.0).where(past.notna() & volatility.notna())
    account = vbt.Portfolio.from_orders(
        close=closes.iloc[start:].ffill(),
        size=weights.iloc[start:].shift(1),
        size_type="targetpercent",
        direction="longonly",
        price=opens.iloc[start:],
        val_price=opens.iloc[start:].ffill(),
        fees=costs[0],
        slippage=costs[1],
        init_cash=10_000.0,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq="1D",
    )
    return {
        "sharpe": float(account.sharpe_ratio()),
        "total_return": float(account.total_return()),
        "max_drawdown": float(account.max_drawdown()),
    }
