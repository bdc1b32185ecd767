"""Selection tools find what was planted, find nothing where nothing is, and do not learn from the test."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor

from lab.core.errors import ConfigError, FrameError, InsufficientHistoryError
from lab.core.panel import Panel
from lab.data.synthetic import synthetic_market
from lab.features import simple_return, volatility
from lab.validation.selection import (
    Samples,
    eliminate,
    forward_returns,
    importance,
    information,
    information_series,
    quantile_returns,
    samples_of,
)
from lab.validation.selection.importance import rank_score
from lab.validation.splits import PurgedKFold


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel.from_frame(synthetic_market(seed=4, markets=6, bars=400, timeframe="1d"))


def planted(seed: int = 0, bars: int = 800) -> Samples:
    """Six features: two that say something of the label, four that do not."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(bars, 6))
    labels = 0.02 * (values[:, 1] - np.sign(values[:, 4])) + 0.03 * rng.normal(size=bars)
    names = tuple(f"feature {number}" for number in range(6))
    return Samples(values, labels, np.arange(bars), bars, 2, names)


def test_labels_are_what_a_decision_at_the_close_could_have_earned(panel: Panel) -> None:
    later = forward_returns(panel, 3)
    opens = panel["open"]
    for row, market in ((0, 0), (100, 3), (395, 5)):
        expected = opens[row + 4, market] / opens[row + 1, market] - 1.0
        assert later[row, market] == expected or np.isnan(expected)
    assert np.isnan(later[-4:]).all()
    with pytest.raises(ConfigError, match="at least 1 bar"):
        forward_returns(panel, 0)


def test_samples_hold_only_complete_rows_in_order_of_time(panel: Panel) -> None:
    features = [simple_return(column="close", window=30), volatility(window=10)]
    samples = samples_of(panel, features, horizon=5)
    assert np.isfinite(samples.values).all()
    assert np.isfinite(samples.labels).all()
    assert (np.diff(samples.bars) >= 0).all()
    assert samples.bars.min() >= 30
    assert samples.bars.max() <= len(panel) - 1 - 6
    assert samples.names == tuple(str(feature) for feature in features)
    with pytest.raises(InsufficientHistoryError, match="longest lookback is 31"):
        samples_of(panel.tail(20), features, horizon=5)


def test_no_label_of_training_reaches_into_a_test(panel: Panel) -> None:
    samples = samples_of(panel, [simple_return(column="close", window=5)], horizon=10)
    seen = np.zeros(len(samples.bars), dtype=int)
    for train, test in samples.splits(PurgedKFold(5, embargo_size=3)):
        seen[test] += 1
        first, last = samples.bars[test].min(), samples.bars[test].max()
        before, after = samples.bars[train] < first, samples.bars[train] > last
        assert (before | after).all()
        assert (samples.bars[train][before] + samples.span < first).all()
        assert (samples.bars[train][after] > last + samples.span + 3).all()
    assert (seen == 1).all()


def test_importance_finds_what_was_planted_and_nothing_else() -> None:
    found = importance(planted(), PurgedKFold(4), seed=1)
    assert set(found.filter("keep")["feature"]) == {"feature 1", "feature 4"}
    assert found["feature"].to_list()[:2] in (["feature 1", "feature 4"], ["feature 4", "feature 1"])
    again = importance(planted(), PurgedKFold(4), seed=1)
    assert found.equals(again)


def test_importance_of_noise_keeps_nothing() -> None:
    kept = 0
    for seed in range(5):
        samples = planted(seed)
        labels = np.random.default_rng(100 + seed).normal(size=len(samples.labels))
        noise = Samples(samples.values, labels, samples.bars, samples.length, samples.span, samples.names)
        kept += importance(noise, PurgedKFold(4), model=LinearRegression(), seed=seed)["keep"].sum()
    assert kept <= 2  # of 30


def test_elimination_keeps_what_was_planted() -> None:
    ranking, path = eliminate(planted(), PurgedKFold(4), model=LinearRegression())
    assert set(ranking.filter(pl.col("rank") == 1)["feature"]) >= {"feature 1", "feature 4"}
    assert path["features"].to_list() == [1, 2, 3, 4, 5, 6]
    assert path["score"][1] > path["score"][0] + 0.05
    assert path["score"][5] < path["score"][1] + 0.05


def test_shuffled_folds_learn_from_the_test_and_purged_ones_do_not() -> None:
    """Labels of 20 bars overlap: a neighbour in time knows nearly the same label, without any skill."""
    rng = np.random.default_rng(3)
    bars, horizon = 1_500, 20
    steps = rng.normal(size=bars + horizon + 1)
    labels = np.array([steps[t + 1 : t + 1 + horizon].sum() for t in range(bars)])
    values = np.cumsum(rng.normal(size=(bars, 2)), axis=0)
    samples = Samples(values, labels, np.arange(bars), bars, horizon, ("walk 1", "walk 2"))
    model = KNeighborsRegressor(5)

    def score(splits: list[tuple[np.ndarray, np.ndarray]]) -> float:
        scores = []
        for train, test in splits:
            model.fit(values[train], labels[train])
            scores.append(rank_score(model, values[test], labels[test]))
        return float(np.mean(scores))

    leaky = score(list(KFold(5, shuffle=True, random_state=0).split(values)))
    purged = score(list(samples.splits(PurgedKFold(5, embargo_size=20))))
    assert leaky > 0.4
    assert abs(purged) < 0.2


def test_information_of_a_feature_that_knows_and_of_one_that_does_not() -> None:
    rng = np.random.default_rng(5)
    later = rng.normal(size=(600, 12))
    features = {"knows": later + 2 * rng.normal(size=later.shape), "guesses": rng.normal(size=later.shape)}
    rows = {row["feature"]: row for row in information(features, {1: later}).iter_rows(named=True)}
    assert rows["knows"]["ic"] > 0.3
    assert rows["knows"]["t_statistic"] > 20
    assert abs(rows["guesses"]["t_statistic"]) < 3
    over_time = information(features, {1: later}, across=False)
    assert over_time["ic"][0] > 0.3
    assert over_time["observations"][0] == later.size


def test_overlapping_labels_make_the_statistic_smaller() -> None:
    rng = np.random.default_rng(8)
    slow = np.cumsum(rng.normal(size=(800, 8)), axis=0)
    noise = rng.normal(size=(820, 8))
    later = np.array([noise[t : t + 20].sum(axis=0) for t in range(800)])
    honest = information({"slow": slow}, {20: later})["t_statistic"][0]
    naive = information({"slow": slow}, {1: later})["t_statistic"][0]
    assert abs(honest) < 0.6 * abs(naive)


def test_what_cannot_be_known_is_null_not_made_up() -> None:
    empty = np.full((30, 6), np.nan)
    row = information({"nothing": empty}, {1: empty}).row(0, named=True)
    assert row["ic"] is None
    assert row["observations"] == 0
    assert np.isnan(information_series(np.ones((3, 6)), np.ones((3, 6)))).all()
    with pytest.raises(FrameError, match="differ in shape"):
        information_series(np.ones((3, 6)), np.ones((4, 6)))
    with pytest.raises(FrameError, match="differ in shape"):
        quantile_returns(np.ones((3, 6)), np.ones((4, 6)))
    with pytest.raises(ConfigError, match="at least 2"):
        quantile_returns(np.ones((3, 6)), np.ones((3, 6)), quantiles=1)
