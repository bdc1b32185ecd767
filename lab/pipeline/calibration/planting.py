"""An edge of known size, put into a market for one strategy with one set of parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.data.worlds import World, make_world
from lab.search.evaluation import Window
from lab.search.selection import warm_up_of
from lab.strategies import StrategyInstance, rule_of
from lab.strategies.instance_config import MarketConfig

__all__ = ["Planter", "in_synthetic_markets", "seed_of"]

Array = NDArray[np.float64]

_STEPS: Final = 6
_CLOSE_ENOUGH: Final = 0.01  # of an annual Sharpe ratio
_PILOT_STREAM: Final = 1_000


def seed_of(*numbers: int) -> int:
    """Return a seed that nothing else of the study has."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def in_synthetic_markets(instance: StrategyInstance) -> StrategyInstance:
    """Return the instance on as many synthetic markets as it has, each of them liquid enough.

    The volumes of synthetic worlds are made up, so that a ``liquidity`` section would say nothing
    of the rule.

    Raises
    ------
    ConfigError
        If it reads series beside the bars, which synthetic worlds do not have.
    """
    if instance.config.series:
        raise ConfigError(
            f"strategy {instance.strategy_id} reads series beside bars "
            f"({', '.join(series.name for series in instance.config.series)}); synthetic worlds have bars "
            "alone, so that it cannot be calibrated"
        )
    world = make_world("noise", seed=0, bars=1, markets=len(instance.markets), timeframe=instance.timeframe)
    symbols = [name.split(":", 1) for name in world.markets]
    markets = tuple(MarketConfig(exchange=exchange, symbol=symbol) for exchange, symbol in symbols)
    config = instance.config.model_copy(update={"markets": markets, "liquidity": None})
    return replace(instance, config=config, strategy=rule_of(instance.strategy))


@dataclass(frozen=True)
class Planter:
    """Makes worlds in which an instance, with its own parameters, earns a known Sharpe ratio net of costs.

    Whatever the instance holds after a bar's close gets a drift in the next bar, in proportion to the
    market's volatility; nothing else has any. The drift moves prices and with them later decisions, so that
    decisions and drift are solved for together.

    Parameters
    ----------
    instance : StrategyInstance
        On synthetic markets.
    sharpe : float
        Annual, net of the instance's costs, in the mean over worlds.
    bars : int
        After the warm-up.
    seed : int
    pilots : int
        Worlds of their own by which the drift is found.
    """

    instance: StrategyInstance
    sharpe: float
    bars: int
    seed: int
    pilots: int = 64

    def world(self, number: int, stream: int = 0) -> World:
        """Return world `number`."""
        return self._planted(self._bare(number, stream), self.strength)

    def earned(self, world: World) -> float:
        """Return the annual Sharpe ratio of the planted parameters in a world, net of costs."""
        panel = world.panel()
        warm_up = warm_up_of(self.instance)
        window = Window(panel, warm_up, len(panel), warm_up=warm_up, instance=self.instance)
        return window.evaluate(self.instance).sharpe

    @cached_property
    def strength(self) -> float:
        """Drift of what is held, in standard deviations of a bar, that gives the Sharpe ratio asked for.

        Found by the secant method over pilot worlds that the study does not use.
        """
        pilots = [self._bare(number, _PILOT_STREAM) for number in range(self.pilots)]

        def excess(strength: float) -> float:
            earned = [self.earned(self._planted(world, strength)) for world in pilots]
            return float(np.mean(earned)) - self.sharpe

        low, high = 0.0, self.sharpe / self.instance.timeframe.periods_per_year**0.5
        at_low, at_high = excess(low), excess(high)
        for _ in range(_STEPS):
            if abs(at_high) < _CLOSE_ENOUGH or at_high == at_low:
                break
            low, high = high, high - at_high * (high - low) / (at_high - at_low)
            at_low, at_high = at_high, excess(high)
        if not abs(at_high) < 5 * _CLOSE_ENOUGH:
            raise ConfigError(
                f"strategy {self.instance.strategy_id}: no drift makes its parameters earn a Sharpe ratio of "
                f"{self.sharpe:g}; {at_high + self.sharpe:.2f} was reached. Does it ever hold anything?"
            )
        return high

    def _bare(self, number: int, stream: int) -> World:
        return make_world(
            "noise",
            seed=seed_of(self.seed, stream, number),
            bars=warm_up_of(self.instance) + self.bars,
            markets=len(self.instance.markets),
            timeframe=self.instance.timeframe,
        )

    def _planted(self, world: World, strength: float) -> World:
        drift, planted = np.zeros(world.volumes.shape), world
        # A decision depends on the bars before it alone, so that each round settles at least one bar more.
        while not np.array_equal(after := self._drift(planted, strength), drift):
            drift, planted = after, world.with_drift(after)
        return planted

    def _drift(self, world: World, strength: float) -> Array:
        held = _standing(self.instance.decide(world.panel()))
        drift = np.zeros(held.shape)
        drift[1:] = strength * world.deviation * (held[:-1] > 0.0)
        return drift


def _standing(weights: Array) -> Array:
    """Return what is held after each decision: NaN keeps, and before the first there is nothing."""
    rows = np.where(np.isnan(weights), 0, np.arange(len(weights))[:, None])
    standing = np.take_along_axis(weights, np.maximum.accumulate(rows, axis=0), axis=0)
    return np.nan_to_num(standing)
