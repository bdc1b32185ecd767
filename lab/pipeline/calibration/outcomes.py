"""What the pipeline said of worlds of known truth, and the rates that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.pipeline.calibration.rates import Rate
from lab.validation.verdict import REQUIRED_CONFIDENCE

__all__ = ["Outcome", "findings"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the pipeline said of one world.

    Attributes
    ----------
    sharpe : float
        Annual, of what it selected, on the bars that it is judged by.
    deflated_sharpe : float
    n_trials : int
        That it was deflated by.
    overfit : bool
        Whether the probability of overfitting is above what is tolerated; only looked at where the deflated
        Sharpe ratio is good enough.
    """

    sharpe: float
    deflated_sharpe: float
    n_trials: int
    overfit: bool

    @property
    def promoted(self) -> bool:
        """Whether the deflated Sharpe ratio passes."""
        return self.deflated_sharpe >= REQUIRED_CONFIDENCE

    @property
    def passes_all(self) -> bool:
        """Whether the probability of overfitting passes too."""
        return self.promoted and not self.overfit


def findings(outcomes: dict[str, tuple[Outcome, ...]], sharpe: float, earned: list[float]) -> dict[str, Any]:
    """Return the rates as JSON values.

    Parameters
    ----------
    outcomes : dict of str to tuple of Outcome
        By world; ``noise`` and ``planted`` among them.
    sharpe : float
        Annual Sharpe ratio that the planted edge was asked for.
    earned : list of float
        What it earned in each planted world.
    """
    bare = {name: found for name, found in outcomes.items() if name != "planted"}
    noise, planted = outcomes["noise"], outcomes["planted"]
    power = _rate(planted)
    return {
        "false_promotion": _rate(noise).document(),
        "false_promotion_with_pbo": _rate(noise, with_pbo=True).document(),
        "no_edge": {name: _of_world(found) for name, found in bare.items()},
        "planted": {
            "sharpe": sharpe,
            "sharpe_earned": float(np.mean(earned)),
            "sharpe_standard_error": float(np.std(earned, ddof=1) / len(earned) ** 0.5)
            if len(earned) > 1
            else None,
            **_of_world(planted),
        },
        "power": power.share,
        "false_discovery": {
            f"{base:g}": _false_discovery(_rate(noise).share, power.share, base) for base in (0.5, 0.1, 0.01)
        },
        "n_trials": float(np.mean([one.n_trials for one in noise])),
    }


def _of_world(found: tuple[Outcome, ...]) -> dict[str, Any]:
    return {
        **_rate(found).document(),
        "passing_pbo_too": sum(one.passes_all for one in found),
        "sharpe_selected": float(np.mean([one.sharpe for one in found])),
        "deflated_sharpe_quantiles": {
            f"{level:g}": float(np.quantile([one.deflated_sharpe for one in found], level))
            for level in (0.05, 0.5, 0.95)
        },
    }


def _rate(found: tuple[Outcome, ...], *, with_pbo: bool = False) -> Rate:
    return Rate(sum(one.passes_all if with_pbo else one.promoted for one in found), len(found))


def _false_discovery(false_promotion: float, power: float, base: float) -> float | None:
    """Return the share of promoted strategies without edge, where a share `base` of all tried has one."""
    wrong, right = false_promotion * (1.0 - base), power * base
    return wrong / (wrong + right) if wrong + right else None
