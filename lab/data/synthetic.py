"""A seeded market of many assets for tests and scale. Never real, and named so: ``synthetic:XXX/USDT``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.frames import PRICE_COLUMNS, sort_rows
from lab.core.timeframe import Timeframe

__all__ = ["ORIGIN", "dirty", "synthetic_market", "synthetic_names"]

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STEPS: Final = 4  # moves within a bar, from which its high and low come
# Bull, bear, sideways: yearly drift and volatility, and how long one lasts in the mean, in days.
_DRIFT: Final = np.array([1.2, -1.0, 0.0])
_VOLATILITY: Final = np.array([0.7, 1.1, 0.45])
_REGIME_DAYS: Final = 90.0
ORIGIN: Final = datetime(2020, 1, 6, tzinfo=UTC)


def synthetic_names(markets: int) -> tuple[str, ...]:
    """Return the first names: ``synthetic:AAA/USDT``, ``synthetic:AAB/USDT``, …, sorted."""
    if not 1 <= markets <= len(_LETTERS) ** 3:
        raise ConfigError(f"{markets} synthetic markets asked for; expected 1 to {len(_LETTERS) ** 3}")
    letters = len(_LETTERS)
    triples = ((i // letters**2, i // letters % letters, i % letters) for i in range(markets))
    return tuple(f"synthetic:{''.join(_LETTERS[j] for j in triple)}/USDT" for triple in triples)


def synthetic_market(
    *,
    seed: int,
    markets: int = 10,
    bars: int = 1_000,
    timeframe: str | Timeframe = "1d",
    start: datetime = ORIGIN,
    outages: int = 0,
    late: float = 0.0,
    delisted: float = 0.0,
) -> pl.DataFrame:
    """Return clean bars of a made-up market: common regimes, fat tails, correlated assets, varying volume.

    Parameters
    ----------
    seed : int
        Same seed and arguments, same bits.
    markets, bars : int
        Assets, and bars from `start` on.
    timeframe : str or Timeframe
        Length of a bar.
    start : datetime
        First bar; on the grid, timezone-aware.
    outages : int
        Spans of 1 to 12 bars that are missing in every market.
    late, delisted : float
        Shares of the markets that are listed late (within the first half), or end early (within the second).

    Returns
    -------
    polars.DataFrame
        ``ts, market, open, high, low, close, volume``, sorted by ts, then market.

    Examples
    --------
    >>> frame = synthetic_market(seed=1, markets=2, bars=3)
    >>> frame["market"].to_list()[:2], frame.height
    (['synthetic:AAA/USDT', 'synthetic:AAB/USDT'], 6)
    """
    grid = Timeframe.parse(timeframe)
    first = grid.number(start)
    if grid.open_time(first) != start or bars < 1:
        raise ConfigError(f"start {start} is not the open of a {grid} bar, or {bars} bars asked for")
    names = synthetic_names(markets)
    random = np.random.default_rng(seed)
    open_, high, low, close, volume = _paths(random, bars, markets, grid)
    alive = _alive(random, bars, markets, outages, late, delisted)
    ts = np.repeat(grid.open_times(np.arange(first, first + bars, dtype=np.int64)), markets)
    frame = pl.DataFrame(
        {
            "ts": pl.Series(ts).dt.replace_time_zone("UTC"),
            "market": pl.Series(names).gather(np.tile(np.arange(markets), bars)),
            "open": open_.reshape(-1),
            "high": high.reshape(-1),
            "low": low.reshape(-1),
            "close": close.reshape(-1),
            "volume": volume.reshape(-1),
        }
    )
    return frame.filter(pl.Series(alive.reshape(-1)))


Array = NDArray[np.float64]


def _paths(
    random: np.random.Generator, bars: int, markets: int, grid: Timeframe
) -> tuple[Array, Array, Array, Array, Array]:
    years = grid.seconds / (365 * 86_400)
    change = random.random(bars) < grid.seconds / (_REGIME_DAYS * 86_400)
    regime = random.integers(0, len(_DRIFT), bars)
    regime = regime[np.maximum.accumulate(np.where(change, np.arange(bars), 0))]
    beta = random.uniform(0.4, 1.4, markets)
    common = random.standard_t(4, (bars, _STEPS, 1)) / np.sqrt(2)
    own = random.standard_t(4, (bars, _STEPS, markets)) / np.sqrt(2)
    sigma = (_VOLATILITY[regime] * np.sqrt(years / _STEPS))[:, None, None]
    drift = (_DRIFT[regime] * years / _STEPS)[:, None, None]
    moves = np.clip(beta * (drift + sigma * common) + 0.5 * sigma * own, -0.3, 0.3)
    log_price = np.cumsum(moves.reshape(bars * _STEPS, markets), axis=0).reshape(bars, _STEPS, markets)
    scale = 10.0 ** random.uniform(-1.0, 4.0, markets)
    path = np.exp(log_price) * scale
    close = path[:, -1]
    open_ = np.concatenate([scale[None, :], close[:-1]])
    high = np.maximum(path.max(axis=1), open_)
    low = np.minimum(path.min(axis=1), open_)
    turnover = random.lognormal(13.0, 0.8, (bars, markets)) * (1.0 + 20.0 * np.abs(moves).sum(axis=1))
    return open_, high, low, close, turnover / close


def _alive(
    random: np.random.Generator, bars: int, markets: int, outages: int, late: float, delisted: float
) -> NDArray[np.bool_]:
    row = np.arange(bars)[:, None]
    begin = np.where(random.random(markets) < late, random.integers(1, max(bars // 2, 2), markets), 0)
    end = np.where(
        random.random(markets) < delisted, random.integers(max(bars // 2, 1), bars + 1, markets), bars
    )
    alive = (row >= begin) & (row < end)
    for at, length in zip(random.integers(0, bars, outages), random.integers(1, 13, outages), strict=True):
        alive[at : at + length] = False
    return alive


def dirty(bars: pl.DataFrame, *, seed: int, share: float = 0.01) -> pl.DataFrame:
    """Return bars with faults like those of real files.

    Parameters
    ----------
    bars : polars.DataFrame
        Clean bars: ``ts, market, open … volume``.
    seed : int
        Same seed and bars, same faults.
    share : float
        Share of the rows that each kind of fault hits, 0 to 0.1: rows that are missing, repeated, repeated
        with another volume; zero prices; highs below the close; zero and negative volumes; tenfold prices;
        closes that are null.

    Returns
    -------
    polars.DataFrame
        In the order of `bars`, a repeated row after the first.
    """
    if not 0 <= share <= 0.1:
        raise ConfigError(f"share {share} of dirty rows found, expected 0 to 0.1")
    random = np.random.default_rng(seed)
    drawn = random.random(bars.height)
    fault = np.where(drawn < 9 * share, np.floor(drawn / max(share, 1e-9)), -1).astype(np.int64)
    kind = pl.col("_fault")
    price = pl.when(kind == 7).then(10.0).otherwise(1.0)
    rows = (
        bars.with_columns(pl.Series("_fault", fault))
        .filter(kind != 0)
        .with_columns(pl.col(name) * price for name in PRICE_COLUMNS)
        .with_columns(
            low=pl.when(kind == 3).then(0.0).otherwise("low"),
            high=pl.when(kind == 4).then(pl.min_horizontal("open", "close") * 0.99).otherwise("high"),
            close=pl.when(kind == 3).then(0.0).when(kind == 8).then(None).otherwise("close"),
            volume=pl.when(kind == 5).then(0.0).when(kind == 6).then(-1.0).otherwise("volume"),
        )
    )
    again = rows.filter(kind.is_in([1, 2])).with_columns(
        volume=pl.when(kind == 2).then(pl.col("volume") * 1.01).otherwise("volume")
    )
    return sort_rows(pl.concat([rows, again])).drop("_fault")
