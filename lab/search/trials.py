"""Trials as values: what was evaluated on which data, and what the evaluations say together."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.search.identity import DataIdentity, cost_hash, panel_hash, parameter_hash, risk_hash
from lab.search.seen import SeenKeys
from lab.search.sketches import SKETCH_SIZE
from lab.strategies import StrategyInstance
from lab.validation.overfitting import SharpeStatistics, deflated_sharpe_ratio, expected_max_sharpe

__all__ = [
    "DataIdentity",
    "Judgement",
    "TrialBatch",
    "cost_hash",
    "distinct_trials",
    "judge_batches",
    "panel_hash",
    "parameter_hash",
    "risk_hash",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TrialBatch:
    """Trials evaluated together: one family, one data identity, one window, one set of costs and limits.

    Parameters
    ----------
    family, version : str
        Of the strategy.
    identity : DataIdentity
        Data the trials looked at.
    content_hash : str
        SHA-256 of the bars themselves (:func:`panel_hash`), recorded beside the identity.
    window : (str, str)
        Opening times of the first and last bar, ISO 8601.
    n_observations : int
        Returns behind each Sharpe ratio, at least 2.
    cost_hash, risk_hash : str
        :func:`parameter_hash` of the costs and limits in force.
    parameter_hashes : tuple of str
        One for each trial.
    sharpes : ndarray of float64, shape (trials,)
        Per period; finite.
    sketches : ndarray of float16, shape (trials, 64)
        See :func:`lab.search.sketches.sketch`.
    """

    family: str
    version: str
    identity: DataIdentity
    content_hash: str
    window: tuple[str, str]
    n_observations: int
    cost_hash: str
    risk_hash: str
    parameter_hashes: tuple[str, ...]
    sharpes: Array
    sketches: NDArray[np.float16]

    def __post_init__(self) -> None:
        trials = len(self.parameter_hashes)
        if self.sharpes.shape != (trials,) or self.sketches.shape != (trials, SKETCH_SIZE):
            raise ConfigError(
                f"trial batch: {trials} parameter hashes, sharpes {self.sharpes.shape}, sketches "
                f"{self.sketches.shape}; expected one of each per trial"
            )
        if self.n_observations < 2 or not np.isfinite(self.sharpes).all():
            raise ConfigError("trial batch: every trial needs a finite Sharpe ratio of two returns or more")

    @classmethod
    def of(
        cls,
        instance: StrategyInstance,
        panel: Panel,
        *,
        positions: NDArray[np.int64],
        parameter_hashes: Sequence[str],
        sharpes: Array,
        sketches: NDArray[np.float16],
        content_hash: str | None = None,
    ) -> TrialBatch:
        """Return the batch of trials of an instance's family, with its costs and limits, on bars of a panel.

        Parameters
        ----------
        positions : ndarray of int64
            Bars of `panel` whose returns count, ascending.
        content_hash : str, optional
            :func:`panel_hash` of `panel`, where it is known already.
        """
        return cls(
            family=instance.strategy.family,
            version=instance.strategy.version,
            identity=DataIdentity.of(instance.markets, instance.timeframe),
            content_hash=panel_hash(panel) if content_hash is None else content_hash,
            window=(str(panel.ts[positions[0]]), str(panel.ts[positions[-1]])),
            n_observations=len(positions),
            cost_hash=cost_hash(instance.costs),
            risk_hash=risk_hash(instance.risk),
            parameter_hashes=tuple(parameter_hashes),
            sharpes=sharpes,
            sketches=sketches,
        )

    def to_body(self) -> dict[str, Any]:
        """Return the batch as JSON values, identity first, so that readers can skip by prefix."""
        return {
            "family": self.family,
            "identity": self.identity.digest,
            "version": self.version,
            "source": self.identity.source,
            "markets": list(self.identity.markets),
            "timeframe": self.identity.timeframe,
            "content": self.content_hash,
            "window": list(self.window),
            "observations": self.n_observations,
            "costs": self.cost_hash,
            "risk": self.risk_hash,
            "parameters": list(self.parameter_hashes),
            "sharpes": self.sharpes.tolist(),
            "sketches": base64.b64encode(self.sketches.astype("<f2").tobytes()).decode(),
        }

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> TrialBatch:
        """Read what :meth:`to_body` wrote."""
        sketches = np.frombuffer(base64.b64decode(body["sketches"]), dtype="<f2")
        return cls(
            family=body["family"],
            version=body["version"],
            identity=DataIdentity(body["source"], tuple(body["markets"]), body["timeframe"]),
            content_hash=body["content"],
            window=(body["window"][0], body["window"][1]),
            n_observations=body["observations"],
            cost_hash=body["costs"],
            risk_hash=body["risk"],
            parameter_hashes=tuple(body["parameters"]),
            sharpes=np.array(body["sharpes"], dtype=np.float64),
            sketches=sketches.astype(np.float16).reshape(-1, SKETCH_SIZE),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the trials on one data identity say about the next result: how many, and how far apart.

    Parameters
    ----------
    n_trials : int
        Distinct trials; repeats with the same outcome are not counted.
    scaled_variance : float
        Sample variance of ``sharpe * sqrt(n_observations)`` over them: Sharpe ratios of windows of different
        length are compared by their t statistics.
    head : str
        Ledger head that was judged by; empty without a ledger.
    """

    n_trials: int
    scaled_variance: float
    head: str

    def variance(self, n_observations: float) -> float:
        """Return the variance of the trials' Sharpe ratios, per period, at a length of `n_observations`.

        For trials of that very length it is the plain sample variance of their Sharpe ratios.
        """
        return self.scaled_variance / n_observations

    def expected_max(self, n_observations: float) -> float:
        """Return the best Sharpe ratio, per period, that so many trials without edge are expected to show."""
        return expected_max_sharpe(max(self.n_trials, 1), variance=self.variance(n_observations))

    def deflated(self, statistics: SharpeStatistics) -> float:
        """Return the probability that a result's Sharpe ratio is above that luck."""
        return deflated_sharpe_ratio(
            statistics.sharpe,
            n_observations=statistics.n_observations,
            n_trials=max(self.n_trials, 1),
            variance=self.variance(statistics.n_observations),
            skewness=statistics.skewness,
            kurtosis=statistics.kurtosis,
        )


def judge_batches(batches: Iterable[TrialBatch], *, head: str = "") -> Judgement:
    """Count the distinct trials of `batches` and the variance of their Sharpe ratios."""
    statistics = array("d")
    for batch, place in distinct_trials(batches):
        statistics.append(float(batch.sharpes[place]) * float(np.sqrt(batch.n_observations)))
    variance = float(np.var(statistics, ddof=1)) if len(statistics) > 1 else 0.0
    return Judgement(len(statistics), variance, head)


def distinct_trials(batches: Iterable[TrialBatch]) -> Iterator[tuple[TrialBatch, int]]:
    """Yield the batch and the place in it of every distinct trial, in the order they were first made.

    A trial is a repeat when version, parameters, costs, limits, window and outcome (to nine digits) have all
    been seen: running the same thing twice gives the same numbers and no new choice. The same parameters
    on changed bars, or with changed code, have another outcome and count.
    """
    seen: dict[tuple[Any, ...], SeenKeys] = {}
    for batch in batches:
        common = (batch.version, batch.cost_hash, batch.risk_hash, batch.window)
        keys = [
            f"{name}{sharpe:.8e}".encode()
            for name, sharpe in zip(batch.parameter_hashes, batch.sharpes.tolist(), strict=True)
        ]
        for place in seen.setdefault(common, SeenKeys()).first(keys):
            yield batch, place
