"""A whole ``tune``, tracking included, against the script that most people write; and its memory.

Seconds are those of one trial: ours over all trials of a search, the script over the few that it makes.

Bars are the 33 daily pairs of the folder that MNEMO_REAL_DATA names, else random walks of that size.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lab.core.panel import Panel
from lab.data.importing import import_files
from lab.pipeline.bench.engine import random_walk
from lab.pipeline.bench.harness import Case
from lab.pipeline.bench.straightforward import prepare_database, run_script
from lab.pipeline.inputs import load_inputs
from lab.pipeline.tuning import tune
from lab.search.proposals import SamplerName, proposer_of
from lab.search.walk_forward import fold_seed
from lab.strategies import Choice, Dimension
from lab.tracking import Tracker

__all__ = ["CASES"]

FOLDS: Final = 10
TRIALS: Final = 1_000
_SEED: Final = 7
_PEER_TRIALS: Final = 20
_COMPARED: Final = 4
_TRAIN: Final = 365
# After the last bar.
_ARRIVED: Final = datetime(2023, 1, 1, tzinfo=UTC)
_FILE: Final = "binance_spot_1d.parquet"
_COLUMNS: Final = ("open", "high", "low", "close", "volume")
# The warm-up of 180 bars belongs to no fold.
_CONFIG: Final = """
family: {family}
strategy_id: bench
version: 1.0.0
timeframe: 1d
markets:
{markets}
parameters: {{}}
costs: {{fee_bps: 10, slippage_bps: 5}}
search: {{trials: {trials}, sampler: {sampler}, train_bars: 365, test_bars: {test_bars}, purged_bars: 1}}
"""


@dataclass(slots=True)
class _Given:
    """A root folder with bars and a strategy file."""

    root: Path
    config: Path
    sampler: SamplerName
    trials: int
    peer_trials: int


def _given(
    sampler: SamplerName,
    trials: int = TRIALS,
    *,
    folds: int = FOLDS,
    markets: int | None = None,
    family: str = "time_series_momentum",
    peer_trials: int = _PEER_TRIALS,
) -> _Given:
    root = Path(tempfile.mkdtemp(prefix="mnemo-bench-"))
    bars = _bars(markets)
    bars.write_parquet(root / "bars.parquet")
    import_files([root / "bars.parquet"], root=root, exchange="binance", timeframe="1d", arrived=_ARRIVED)
    names = bars["market"].unique().sort().to_list()
    listed = "".join(f"  - {{exchange: binance, symbol: {name.split(':')[1]}}}\n" for name in names)
    length = bars["ts"].n_unique()
    test_bars = (length - 230 - _TRAIN) // folds
    text = _CONFIG.format(family=family, markets=listed, trials=trials, sampler=sampler, test_bars=test_bars)
    config = root / "bench.yaml"
    config.write_text(text, encoding="utf-8")
    # Both sides' databases are there before the clock runs.
    Tracker(root).prepare()
    prepare_database(root)
    return _Given(root, config, sampler, trials, peer_trials)


def _bars(markets: int | None) -> pl.DataFrame:
    folder = os.environ.get("MNEMO_REAL_DATA")
    if folder and markets is None:
        symbol = pl.col("symbol").str.replace(r"^([^/]+?)/?USDT$", "$1/USDT")
        bars = pl.read_parquet(Path(folder) / _FILE)
        stamps = pl.col("ts").cast(pl.Datetime("us", "UTC"))
        return bars.select(stamps, pl.format("binance:{}", symbol).alias("market"), *_COLUMNS)
    return _walks(random_walk(33 if markets is None else markets, 1_881))


def _walks(panel: Panel) -> pl.DataFrame:
    """Return random walks as long bars of binance."""
    close = panel["close"]
    opens = np.vstack([close[:1], close[:-1]])
    columns = {
        "open": opens,
        "high": np.maximum(opens, close),
        "low": np.minimum(opens, close),
        "close": close,
        "volume": np.full(close.shape, 1e6),
    }
    count, width = close.shape
    ts = np.datetime64("2017-08-17", "us") + np.arange(count) * np.timedelta64(1, "D")
    return pl.DataFrame(
        {
            "ts": np.repeat(ts, width),
            "market": [f"binance:A{i:02d}/USDT" for i in range(width)] * count,
            **{name: values.ravel() for name, values in columns.items()},
        }
    ).with_columns(pl.col("ts").dt.cast_time_unit("us").dt.replace_time_zone("UTC"))


def _ours(given: _Given) -> dict[str, Any]:
    run = tune(given.config, root=given.root, seed=_SEED, workers=os.cpu_count() or 1)
    made = run.search.trial_table
    if len(made) != FOLDS * given.trials:
        raise AssertionError(f"{len(made)} trials, {FOLDS * given.trials} expected")
    return {
        "sharpe": made.fold(0)["sharpe"].head(_COMPARED).to_list(),
        "tracking": run.document["tracking_seconds"] / run.document["seconds"],
    }


def _theirs(given: _Given) -> dict[str, Any]:
    import pandas as pd

    inputs = load_inputs(given.config, root=given.root)
    instance, panel = inputs.instance, inputs.panel
    space = instance.strategy.space
    # As the first fold of ours: its warm-up, its training bars, its first sets.
    warm_up = max(int(value) for value in _values(space["lookback_window"]))
    window = panel.rows(0, warm_up + _TRAIN)
    opens, closes = (
        pd.DataFrame(window[name], index=pd.DatetimeIndex(window.ts), columns=list(window.markets))
        for name in ("open", "close")
    )
    proposer = proposer_of(given.sampler, space, trials=given.trials, seed=fold_seed(_SEED, 0))
    found = run_script(
        opens,
        closes,
        warm_up,
        sampler=given.sampler,
        space={name: _values(dimension) for name, dimension in space.items()},
        first=proposer.ask(proposer.batch_size)[:_COMPARED],
        trials=given.peer_trials,
        costs=(instance.costs.fee, instance.costs.slippage),
        folder=given.root,
    )
    return {"sharpe": found[:_COMPARED]}


def _values(dimension: Dimension) -> tuple[float, ...]:
    return dimension.options if isinstance(dimension, Choice) else dimension.values()


def _agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    # The script keeps nothing back for costs, so that its buys are a little larger when it is fully invested.
    np.testing.assert_allclose(ours["sharpe"], np.nan_to_num(theirs["sharpe"]), rtol=5e-3, atol=5e-3)


def _finish(given: _Given) -> None:
    shutil.rmtree(given.root, ignore_errors=True)


def _case(sampler: SamplerName) -> Case:
    return Case(
        name=f"tune {sampler}, {FOLDS} folds x {TRIALS:,} trials, 33 daily pairs, per trial",
        peer="Optuna + vectorbt + MLflow script",
        prepare=partial(_given, sampler),
        ours=_ours,
        theirs=_theirs,
        agree=_agree,
        rehearse=partial(_given, sampler, 8, peer_trials=_COMPARED),
        most_runs=1,
        ours_per_run=0,
        finish=_finish,
        units=(FOLDS * TRIALS, _PEER_TRIALS),
    )


_MANY: Final = 2_000
_FEW: Final = 100


def _few_markets(trials: int) -> _Given:
    return _given("grid", trials, markets=3)


def _same_figures(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert np.isfinite([*ours["sharpe"], *theirs["sharpe"]]).all()  # noqa: S101


def _with_few(given: _Given) -> dict[str, Any]:
    run = tune(given.config, root=given.root, seed=_SEED, trials=_FEW, workers=os.cpu_count() or 1)
    return {"sharpe": run.search.trial_table.fold(0)["sharpe"].head(_COMPARED).to_list()}


CASES = (
    *(_case(sampler) for sampler in ("grid", "qmc", "tpe")),
    Case(
        name=f"tune grid, memory of {FOLDS * _MANY:,} trials against {FOLDS * _FEW:,}, per trial",
        peer=f"tune of {FOLDS * _FEW:,} trials",
        prepare=partial(_few_markets, _MANY),
        ours=_ours,
        theirs=_with_few,
        agree=_same_figures,
        rehearse=partial(_few_markets, 8),
        most_runs=1,
        ours_per_run=0,
        finish=_finish,
        units=(FOLDS * _MANY, FOLDS * _FEW),
    ),
)
