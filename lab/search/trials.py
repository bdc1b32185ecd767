"""Trials as values: what was evaluated on which data, and what the evaluations say together."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel

__all__ = [
    "SKETCH_SIZE",
    "DataIdentity",
    "Judgement",
    "TrialBatch",
    "judge_batches",
    "panel_hash",
    "parameter_hash",
    "sketch",
]

SKETCH_SIZE: Final = 64
_HASH_DIGITS: Final = 32

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Which data a trial looked at: where from, which markets, which bars.

    The content is not part of it: tomorrow's bars, or a corrected one, do not make the trials so far undone.

    Parameters
    ----------
    source : str
        Exchanges of the markets, joined by ``+``.
    markets : tuple of str
        Sorted by name.
    timeframe : str

    Examples
    --------
    >>> identity = DataIdentity.of(["binance:ETH/USDT", "binance:BTC/USDT"], "1d")
    >>> identity.source, identity.markets
    ('binance', ('binance:BTC/USDT', 'binance:ETH/USDT'))
    """

    source: str
    markets: tuple[str, ...]
    timeframe: str

    @classmethod
    def of(cls, markets: Iterable[str], timeframe: object) -> DataIdentity:
        """Return the identity of `markets`, in whatever order they are named."""
        names = tuple(sorted(set(markets)))
        exchanges = sorted({Market.parse(name).exchange for name in names})
        return cls("+".join(exchanges), names, str(timeframe))

    @property
    def digest(self) -> str:
        """SHA-256 of the three parts."""
        return digest([self.source, list(self.markets), self.timeframe])


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
        See :func:`sketch`.
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


def judge_batches(batches: Iterable[TrialBatch], *, head: str = "") -> Judgement:
    """Count the distinct trials of `batches` and the variance of their Sharpe ratios.

    A trial is a repeat when version, parameters, costs, limits, window and outcome (to nine digits) have all
    been seen: running the same thing twice gives the same numbers and no new choice. The same parameters
    on changed bars, or with changed code, have another outcome and count.
    """
    seen: set[tuple[Any, ...]] = set()
    statistics: list[float] = []
    for batch in batches:
        common = (batch.version, batch.cost_hash, batch.risk_hash, batch.window)
        scale = float(np.sqrt(batch.n_observations))
        for name, sharpe in zip(batch.parameter_hashes, batch.sharpes.tolist(), strict=True):
            key = (*common, name, f"{sharpe:.8e}")
            if key not in seen:
                seen.add(key)
                statistics.append(sharpe * scale)
    variance = float(np.var(statistics, ddof=1)) if len(statistics) > 1 else 0.0
    return Judgement(len(statistics), variance, head)


def parameter_hash(parameters: Mapping[str, Any]) -> str:
    """Return the hash that stands for a set of parameters, costs or limits: 32 hex digits.

    Examples
    --------
    >>> parameter_hash({"slow": 50, "fast": 10}) == parameter_hash({"fast": 10, "slow": 50})
    True
    """
    return digest(dict(parameters))[:_HASH_DIGITS]


def panel_hash(panel: Panel) -> str:
    """Return the SHA-256 of a panel's bars: grid, markets and every bar column, not the features."""
    columns = sorted(key for key in panel.fields if isinstance(key, str))
    head: Sequence[Any] = [str(panel.timeframe), list(panel.markets), columns, panel.bar.tolist()[:1]]
    parts = [digest(panel.fields[column].tobytes()) for column in columns]
    return digest([*head, len(panel), *parts])


def sketch(returns: Array, bars: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return short vectors whose scalar products estimate the correlations between return series.

    Each series is centred, scaled to length 1 and projected on 64 sign vectors drawn from the absolute bar
    numbers, so that series over different windows can be compared: the products are those of the bars they
    share. The standard error of a product is about 0.13 for unrelated series; dividing by the lengths of
    both vectors makes it less for related ones.

    Parameters
    ----------
    returns : ndarray, shape (trials, T)
        Simple returns per bar.
    bars : ndarray of int64, shape (T,)
        Absolute bar numbers.

    Returns
    -------
    ndarray of float16, shape (trials, 64)
        Zero for a series that does not vary.
    """
    return _sketch(np.ascontiguousarray(returns), np.ascontiguousarray(bars), SKETCH_SIZE).astype(np.float16)


@njit(cache=True, nogil=True)
def _sketch(returns, bars, size):  # type: ignore[no-untyped-def]
    trials, length = returns.shape
    result = np.zeros((trials, size))
    if length == 0:
        return result
    scale = 1.0 / np.sqrt(float(size))
    signs = np.empty((length, size))
    for t in range(length):
        bits = _mixed(np.uint64(bars[t]))
        for k in range(size):
            signs[t, k] = scale if (bits >> np.uint64(k)) & np.uint64(1) else -scale
    for trial in range(trials):
        mean = 0.0
        for t in range(length):
            mean += returns[trial, t]
        mean /= length
        square = 0.0
        for t in range(length):
            centred = returns[trial, t] - mean
            square += centred * centred
            for k in range(size):
                result[trial, k] += centred * signs[t, k]
        if square > 1e-14 * length * mean * mean and square > 0.0:
            result[trial] /= np.sqrt(square)
        else:
            result[trial] = 0.0
    return result


@njit(cache=True, nogil=True)
def _mixed(value):  # type: ignore[no-untyped-def]
    """SplitMix64: neighbouring bar numbers to independent-looking bits."""
    mixed = value + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
