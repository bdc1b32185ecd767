"""Worlds of known truth: fair games, with the tails, clusters and holes that they are named by."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.core.errors import ConfigError
from lab.core.frames import RECEIVED
from lab.data.panels import panel_from_bars
from lab.data.quality import default_settings, mark
from lab.data.synthetic import synthetic_names
from lab.data.worlds import WORLDS, make_world

BARS = 4_000


def closes(kind: str, seed: int, markets: int = 1) -> np.ndarray:
    return make_world(kind, seed=seed, bars=BARS, markets=markets).panel()["close"]


def returns(kind: str, seed: int) -> np.ndarray:
    close = closes(kind, seed)[:, 0]
    found = close[1:] / close[:-1] - 1.0
    return found[~np.isnan(found)]


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_prices_are_fair_games_of_the_volatility_they_claim(kind: str) -> None:
    found = np.concatenate([returns(kind, seed) for seed in range(25)])
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(len(found))
    # Tails cut at half of the price cost fat ones a little of their volatility.
    assert found.std() * np.sqrt(365) == pytest.approx(0.7, rel=0.1)


@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_yesterday_says_nothing_of_today(kind: str) -> None:
    found = np.concatenate([returns(kind, seed) for seed in range(25)])
    signs = np.sign(found)
    assert abs(np.mean(signs[1:] * signs[:-1])) < 4 / np.sqrt(len(signs))


def kurtosis(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def test_fat_tails_are_fatter_than_noise() -> None:
    assert all(kurtosis(returns("noise", seed)) < 3.5 for seed in range(5))
    assert all(kurtosis(returns("fat_tails", seed)) > 5.0 for seed in range(5))


def test_volatility_comes_in_clusters_where_it_says_so() -> None:
    def memory(kind: str, seed: int) -> float:
        size = np.abs(returns(kind, seed))
        return float(np.corrcoef(size[5:], size[:-5])[0, 1])

    assert all(abs(memory("noise", seed)) < 0.1 for seed in range(5))
    assert all(memory("volatility_clusters", seed) > 0.15 for seed in range(5))


def test_outages_hit_all_markets_for_two_to_twelve_bars() -> None:
    close = closes("outages", seed=3, markets=3)
    missing = np.isnan(close)
    assert (missing.all(axis=1) == missing.any(axis=1)).all()
    assert 0.01 < missing[:, 0].mean() < 0.2
    edges = np.flatnonzero(np.diff(missing[:, 0].astype(int)))
    lengths = edges[1::2] - edges[::2]
    assert lengths.min() >= 2
    assert not np.isnan(closes("noise", seed=3)).any()


def test_markets_move_together() -> None:
    close = closes("noise", seed=1, markets=3)
    found = np.corrcoef((close[1:] / close[:-1] - 1).T)
    assert found[np.triu_indices(3, 1)] == pytest.approx([0.6] * 3, abs=0.05)


def test_bars_are_whole_and_sound() -> None:
    panel = make_world("noise", seed=2, bars=500, markets=2).panel()
    assert panel.markets == synthetic_names(2)
    assert (panel["high"] >= np.maximum(panel["open"], panel["close"])).all()
    assert (panel["low"] <= np.minimum(panel["open"], panel["close"])).all()
    assert (panel["open"][1:] == panel["close"][:-1]).all()
    assert (panel["volume"] > 0).all()


@pytest.mark.parametrize("kind", ["noise", "outages"])
def test_the_panel_is_what_stored_bars_would_become(kind: str) -> None:
    """No world needs a quality mark that changes a price, so that worlds may skip the marking."""
    panel = make_world(kind, seed=4, bars=600, markets=2).panel()
    columns = [panel.to_frame(panel[name], name) for name in ("open", "high", "low", "close", "volume")]
    long = pl.concat(
        [columns[0], *(frame.select(frame.columns[2]) for frame in columns[1:])], how="horizontal"
    )
    marked = mark(long.filter(pl.col("close").is_not_nan()), panel.timeframe, default_settings())
    again = panel_from_bars(marked, timeframe=panel.timeframe, markets=panel.markets)
    rows = slice(0, len(again))
    for name in ("open", "high", "low", "close", "volume", *RECEIVED.values()):
        np.testing.assert_array_equal(again[name], panel[name][rows])


def test_a_drift_moves_the_mean_and_nothing_else() -> None:
    world = make_world("noise", seed=5, bars=1_000)
    drift = np.zeros((1_000, 1))
    drift[300:700] = 0.004
    with_, without = world.with_drift(drift).moves, world.moves
    np.testing.assert_allclose((with_ - without).sum(axis=1), drift, atol=1e-15)


def test_same_seed_same_bits_and_kinds_are_drawn_apart() -> None:
    assert (closes("noise", 7) == closes("noise", 7)).all()
    assert (closes("noise", 7) != closes("noise", 8)).any()
    assert (closes("noise", 7)[1:] != closes("outages", 7)[1:]).any()


def test_unknown_worlds_are_named() -> None:
    with pytest.raises(ConfigError, match="there are noise, fat_tails, volatility_clusters, outages"):
        make_world("bull", seed=0, bars=10)
