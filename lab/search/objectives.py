"""What a search maximises: a figure of the training bars, less penalties for turnover and drawdown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lab.core.settings import SearchSettings
from lab.validation.overfitting import expected_max_sharpe, probabilistic_sharpe_ratio, sharpe_statistics

__all__ = ["FIGURES", "Objective", "ObjectiveName"]

ObjectiveName = Literal["sharpe", "calmar", "deflated_sharpe"]

FIGURES: Final = ("sharpe", "calmar", "total_return", "max_drawdown", "turnover", "time_in_market")
_SHARPE, _CALMAR, _DRAWDOWN, _TURNOVER = (
    FIGURES.index(name) for name in ("sharpe", "calmar", "max_drawdown", "turnover")
)
# A figure more is better of, from the figure of the table.
_SIGN: Final = {"max_drawdown": 1.0, "turnover": -1.0}


@dataclass(frozen=True, slots=True)
class Objective:
    """The score of a parameter set on its training bars; the highest wins.

    ``score = figure - turnover_penalty * turnover - drawdown_penalty * abs(max_drawdown)``, with the turnover
    in multiples of equity per year and the drawdown as a fraction, to nine digits: the two engines agree to
    that, so that either finds the same winner.

    Parameters
    ----------
    name : {"sharpe", "calmar", "deflated_sharpe"}
        Annualised Sharpe ratio; annualised return over the largest drawdown; probability that the Sharpe
        ratio is above what the best of `trials` sets without edge shows on so many bars, where Sharpe ratios
        vary by ``1 / observations`` (fixed before the search, so that no score depends on later ones).
    turnover_penalty, drawdown_penalty : float
        Not negative.
    tradeoffs : tuple of str
        Further figures that several objectives are weighed against: ``max_drawdown``, ``turnover``.
    luck : float
        Per-period Sharpe ratio that luck explains; read by ``deflated_sharpe`` alone.

    Examples
    --------
    >>> objective = Objective("sharpe", turnover_penalty=0.01, drawdown_penalty=2.0)
    >>> objective.score((1.5, 0.0, 0.3, -0.2, 10.0, 0.5), np.empty(0))
    1.0
    """

    name: ObjectiveName = "sharpe"
    turnover_penalty: float = 0.0
    drawdown_penalty: float = 0.0
    tradeoffs: tuple[str, ...] = ()
    luck: float = 0.0

    @classmethod
    def of(cls, settings: SearchSettings, *, trials: int, observations: int) -> Objective:
        """Return what `settings` ask for in a fold of `trials` sets on `observations` training bars."""
        return cls(
            name=settings.objective,
            turnover_penalty=settings.turnover_penalty,
            drawdown_penalty=settings.drawdown_penalty,
            tradeoffs=settings.tradeoffs if settings.sampler == "nsga2" else (),
            luck=expected_max_sharpe(trials, variance=1.0 / observations),
        )

    def score(self, figures: tuple[float, ...], returns: NDArray[np.float64]) -> float:
        """Return the score of :data:`FIGURES` and the returns that they are of."""
        score = self._figure(figures, returns)
        if self.turnover_penalty:
            score -= self.turnover_penalty * figures[_TURNOVER]
        if self.drawdown_penalty:
            score += self.drawdown_penalty * figures[_DRAWDOWN]
        return _nine_digits(score)

    def told(self, score: float, figures: tuple[float, ...]) -> float | tuple[float, ...]:
        """Return what a sampler is told: the score, with the tradeoffs where several things are sought."""
        if not self.tradeoffs:
            return score
        others = (_SIGN[name] * figures[FIGURES.index(name)] for name in self.tradeoffs)
        return score, *(_nine_digits(value) for value in others)

    def _figure(self, figures: tuple[float, ...], returns: NDArray[np.float64]) -> float:
        if self.name == "sharpe":
            return figures[_SHARPE]
        if self.name == "calmar":
            return figures[_CALMAR]
        found = sharpe_statistics(returns)
        return probabilistic_sharpe_ratio(
            found.sharpe,
            n_observations=found.n_observations,
            skewness=found.skewness,
            kurtosis=found.kurtosis,
            benchmark=self.luck,
        )


def _nine_digits(value: float) -> float:
    return float(f"{value:.8e}") if math.isfinite(value) else value
