from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest
from pydantic import Field, model_validator

from lab.core.errors import ConfigError, DataError, InsufficientHistoryError, UnknownMarketError
from lab.core.panel import Panel
from lab.search import walk_forward
from lab.strategies import Parameters, Range, TimeSeriesMomentum
from lab.strategies.space import Dimension
from lab.validation.splits import WalkForward
from tests.oracle.search import instance_of, world

SPLITTER = WalkForward(train_size=80, test_size=60, purged_size=1)


@pytest.fixture
def instance(tmp_path):
    return instance_of(tmp_path)


@pytest.fixture(scope="module")
def panel():
    return world(1)


def test_too_little_history_names_strategy_needed_and_available_bars(instance, panel):
    with pytest.raises(
        InsufficientHistoryError, match=r"walked: .*needs 321 bars \(180 warm-up.*320 available"
    ):
        walk_forward(instance, panel.tail(320), splitter=SPLITTER, trials=2, seed=0)
    with pytest.raises(InsufficientHistoryError, match="needs 61 bars, 50 available"):
        walk_forward(instance, panel.tail(50), splitter=SPLITTER, trials=2, seed=0)


def test_bars_of_another_timeframe_or_without_a_market_are_refused(instance, panel):
    hours = Panel.from_frame(
        pl.DataFrame(
            {
                "ts": pl.datetime_range(
                    pl.datetime(2024, 1, 1), pl.datetime(2024, 2, 1), "1h", time_zone="UTC", eager=True
                ),
                "market": "synthetic:AAA/USDT",
                "close": 1.0,
            }
        )
    )
    with pytest.raises(DataError, match="bars are 1h, 1d expected"):
        walk_forward(instance, hours, splitter=SPLITTER, trials=2, seed=0)
    with pytest.raises(UnknownMarketError, match="BBB/USDT"):
        walk_forward(instance, panel.select(panel.markets[:1]), splitter=SPLITTER, trials=2, seed=0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
        ({"trials": 2.5}, r"trials is 2\.5"),
    ],
)
def test_numbers_out_of_range_are_refused(instance, panel, numbers, message):
    with pytest.raises(ConfigError, match=message):
        walk_forward(instance, panel, splitter=SPLITTER, **{"trials": 2, "seed": 0, **numbers})


def test_progress_counts_trials_to_the_end(instance, panel):
    seen = []
    walk_forward(
        instance,
        panel,
        splitter=SPLITTER,
        trials=70,
        seed=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(64, 140), (70, 140), (134, 140), (140, 140)]


class OrderedParameters(Parameters):
    lookback_window: int = Field(60, ge=2, le=400)
    vol_window: int = Field(20, ge=2, le=400)
    threshold: float = 0.0
    target_volatility: float = 0.4
    max_volatility: float | None = None

    @model_validator(mode="after")
    def _ordered(self):
        if self.vol_window >= self.lookback_window:
            raise ValueError("vol_window must be below lookback_window")
        return self


class Ordered(TimeSeriesMomentum):
    params = OrderedParameters
    space: Mapping[str, Dimension] = {
        "lookback_window": Range(20, 60, step=20),
        "vol_window": Range(10, 50, step=20),
    }


class Impossible(Ordered):
    space: Mapping[str, Dimension] = {"vol_window": Range(100, 140, step=20)}


def test_sets_that_the_model_refuses_are_no_trials(tmp_path, panel):
    base = instance_of(tmp_path, "grid")
    instance = replace(base, strategy=Ordered(), params=OrderedParameters())
    found = walk_forward(instance, panel, splitter=SPLITTER, trials=9, seed=0)
    first = found.trials.filter(pl.col("fold") == 0)
    valid = pl.col("parameter_vol_window") < pl.col("parameter_lookback_window")
    assert first.filter(valid)["state"].to_list() == ["complete"] * 6
    assert first.filter(~valid)["state"].to_list() == ["invalid"] * 3
    assert first.filter(~valid)["sharpe"].is_nan().all()
    assert found.n_trials == 6 * found.folds.height


def test_a_space_without_a_valid_set_is_an_error(tmp_path, panel):
    base = instance_of(tmp_path, "tpe")
    instance = replace(base, strategy=Impossible(), params=OrderedParameters())
    with pytest.raises(ConfigError, match="none of 5 proposed parameter sets is valid"):
        walk_forward(instance, panel, splitter=SPLITTER, trials=5, seed=0)


def test_repeated_proposals_are_evaluated_once(tmp_path, panel):
    base = instance_of(tmp_path, "random")
    instance = replace(base, strategy=Ordered(), params=OrderedParameters())
    found = walk_forward(instance, panel, splitter=SPLITTER, trials=60, seed=0)
    for fold in range(found.folds.height):
        rows = found.trials.filter(pl.col("fold") == fold)
        assert rows["state"].value_counts().filter(pl.col("state") == "complete")["count"].item() == 6
        again = rows.filter(pl.col("state") == "repeated")
        first = rows.filter(pl.col("state") == "complete")
        names = ["parameter_lookback_window", "parameter_vol_window", "sharpe"]
        assert again.select(names).join(first.select(names), on=names, how="anti").height == 0
    assert found.n_trials == 6 * found.folds.height
