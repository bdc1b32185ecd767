"""Markets of which the truth is known: no edge at all, or exactly the one that was planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.frames import BAR_COLUMNS, RECEIVED
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.data.synthetic import ORIGIN, synthetic_names

__all__ = ["WORLDS", "World", "make_world"]

Array = NDArray[np.float64]

_STEPS: Final = 4  # moves within a bar, from which its high and low come
_VOLATILITY: Final = 0.7  # a year
_CORRELATION: Final = 0.6  # between markets
_LARGEST_MOVE: Final = 0.5
_FREEDOM: Final = 3  # of the t distribution of fat tails
_VOLATILITY_OF_VOLATILITY: Final = 0.6  # of its logarithm
_HALF_LIFE_DAYS: Final = 20.0
_BARS_BETWEEN_OUTAGES: Final = 120
_LONGEST_OUTAGE: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Prices of some markets, as the moves they are made of.

    Attributes
    ----------
    timeframe : Timeframe
    moves : ndarray, shape (T, 4, N)
        Simple returns within the bars. Without a drift their mean, given everything before, is zero: prices
        are fair games, in which nothing that trades on the past earns or loses before costs.
    volumes : ndarray, shape (T, N)
        In the quote currency.
    missing : ndarray of bool, shape (T,)
        Bars that no market has.
    """

    timeframe: Timeframe
    moves: Array
    volumes: Array
    missing: NDArray[np.bool_]

    @property
    def markets(self) -> tuple[str, ...]:
        """Names of the markets: ``synthetic:AAA/USDT``, …."""
        return synthetic_names(self.moves.shape[2])

    @property
    def deviation(self) -> float:
        """Standard deviation of a bar's return, without drift, over the whole in the mean."""
        return _VOLATILITY / float(np.sqrt(self.timeframe.periods_per_year))

    def with_drift(self, drift: Array) -> World:
        """Return the world with another mean of each bar's return, shape (T, N)."""
        return replace(self, moves=self.moves + drift[:, None, :] / _STEPS)

    def panel(self) -> Panel:
        """Return the bars as features see them and as received; every market opens at 100."""
        bars, markets = self.volumes.shape
        path = 100.0 * np.cumprod(1.0 + self.moves.reshape(-1, markets), axis=0)
        path = path.reshape(bars, _STEPS, markets)
        close = path[:, -1]
        open_ = np.concatenate([np.full((1, markets), 100.0), close[:-1]])
        high, low = np.maximum(path.max(axis=1), open_), np.minimum(path.min(axis=1), open_)
        columns = (open_, high, low, close, self.volumes / close)
        fields: dict[str | Feature, Array] = {}
        for name, values in zip(BAR_COLUMNS, columns, strict=True):
            known = np.where(self.missing[:, None], np.nan, values)
            fields[name] = known
            fields[RECEIVED[name]] = known.copy()
        bar = self.timeframe.number(ORIGIN) + np.arange(bars, dtype=np.int64)
        return Panel(self.timeframe, bar, self.timeframe.open_times(bar), self.markets, fields)


def make_world(
    kind: str, *, seed: int, bars: int, markets: int = 1, timeframe: str | Timeframe = "1d"
) -> World:
    """Return a world without any edge.

    Parameters
    ----------
    kind : str
        One of :data:`WORLDS`: ``noise`` (normal returns), ``fat_tails`` (Student's t with 3 degrees of
        freedom), ``volatility_clusters`` (the logarithm of volatility wanders, half-life 20 days) or
        ``outages`` (noise in which spans of 2 to 12 bars are missing).
    seed : int
        Same seed and arguments, same bits.
    bars, markets : int
        Length and number of markets; they are correlated with 0.6 and have a volatility of 70 % a year.
    timeframe : str or Timeframe

    Examples
    --------
    >>> world = make_world("noise", seed=1, bars=1000, markets=2)
    >>> panel = world.panel()
    >>> panel.markets, len(panel), panel["open"][0].tolist()
    (('synthetic:AAA/USDT', 'synthetic:AAB/USDT'), 1000, [100.0, 100.0])
    """
    if kind not in WORLDS:
        raise ConfigError(f"no world called {kind!r}; there are {', '.join(WORLDS)}")
    if bars < 1:
        raise ConfigError(f"a world of {bars} bars; expected at least one")
    grid = Timeframe.parse(timeframe)
    random = np.random.default_rng([seed, list(WORLDS).index(kind)])
    sigma = _VOLATILITY / np.sqrt(grid.periods_per_year * _STEPS)
    shocks, scale, missing = WORLDS[kind](random, bars, markets, grid)
    moves = np.clip(sigma * scale[:, None, None] * shocks, -_LARGEST_MOVE, _LARGEST_MOVE)
    volumes = random.lognormal(15.0, 0.5, (bars, markets))
    return World(grid, moves, volumes, missing)


Drawn = tuple[Array, Array, NDArray[np.bool_]]
Maker = Callable[[np.random.Generator, int, int, Timeframe], Drawn]


def _noise(random: np.random.Generator, bars: int, markets: int, grid: Timeframe) -> Drawn:
    shocks = _together(
        random.standard_normal((bars, _STEPS, 1)), random.standard_normal((bars, _STEPS, markets))
    )
    return shocks, np.ones(bars), np.zeros(bars, dtype=np.bool_)


def _fat_tails(random: np.random.Generator, bars: int, markets: int, grid: Timeframe) -> Drawn:
    shocks, _, missing = _noise(random, bars, markets, grid)
    # Normal steps on one random scale per bar: the bar's return is Student's, of the same variance.
    return shocks, np.sqrt((_FREEDOM - 2) / random.chisquare(_FREEDOM, bars)), missing


def _volatility_clusters(random: np.random.Generator, bars: int, markets: int, grid: Timeframe) -> Drawn:
    shocks, _, missing = _noise(random, bars, markets, grid)
    stays = 0.5 ** (grid.seconds / (_HALF_LIFE_DAYS * 86_400))
    news = random.standard_normal(bars) * np.sqrt(1.0 - stays**2)
    level = np.empty(bars)
    level[0] = random.standard_normal()
    for bar in range(1, bars):
        level[bar] = stays * level[bar - 1] + news[bar]
    logarithm = _VOLATILITY_OF_VOLATILITY * level
    return shocks, np.exp(logarithm - _VOLATILITY_OF_VOLATILITY**2), missing


def _outages(random: np.random.Generator, bars: int, markets: int, grid: Timeframe) -> Drawn:
    shocks, scale, missing = _noise(random, bars, markets, grid)
    count = random.poisson(bars / _BARS_BETWEEN_OUTAGES)
    lengths = random.integers(2, _LONGEST_OUTAGE + 1, count)
    for at, length in zip(random.integers(1, max(bars, 2), count), lengths, strict=True):
        missing[at : at + length] = True
    return shocks, scale, missing


def _together(common: Array, own: Array) -> Array:
    return np.sqrt(_CORRELATION) * common + np.sqrt(1.0 - _CORRELATION) * own


WORLDS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "noise": _noise,
        "fat_tails": _fat_tails,
        "volatility_clusters": _volatility_clusters,
        "outages": _outages,
    }
)
"""Worlds by name."""
