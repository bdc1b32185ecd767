"""What is judged: the decisions of a run or a file, the bars that they were made on, and their account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.costs import Costs
from lab.search import DataIdentity, TrialBatch

__all__ = ["Decisions", "Judged", "Noise"]

Array = NDArray[np.float64]


class Decisions(NamedTuple):
    """Weights at the closes of the account's bars, (T, N); of a portfolio its instances' parts, (T, K, N)."""

    weights: Array
    parts: Array | None = None

    def later(self, bars: int) -> Decisions:
        """Return those of an account that starts `bars` later."""
        parts = None if self.parts is None else np.ascontiguousarray(self.parts[bars:])
        return Decisions(np.ascontiguousarray(self.weights[bars:]), parts)


class Noise(NamedTuple):
    """Scale and seed of noise on the prices that features see: :func:`lab.validation.robustness.noisy`."""

    scale: float
    seed: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Judged(ABC):
    """A result: who decided, on which bars, and how the account of such decisions is made.

    Parameters
    ----------
    name : str
        Of the run, or the file.
    run_id : str or None
        None for a file.
    kind : str
        ``tune``, ``backtest`` or ``config``.
    recorded : mapping
        The run's result document; empty for a file.
    engine_difference : float
        As recorded, or as found now.
    failed : bool
        Whether the run is marked FAILED.
    """

    name: str
    run_id: str | None
    kind: str
    recorded: Mapping[str, Any] = field(default_factory=dict)
    engine_difference: float = float("nan")
    failed: bool = False

    @property
    def held_out(self) -> bool:
        """Whether the parameters were chosen without the account's bars."""
        return self.kind == "tune"

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, str]:
        """Identity: ``strategy_id, family, data_hash, config_hash``."""

    @property
    @abstractmethod
    def identity(self) -> DataIdentity:
        """Which data its trials looked at."""

    @property
    @abstractmethod
    def costs(self) -> Costs:
        """Costs of its account."""

    @property
    @abstractmethod
    def history(self) -> Panel:
        """All bars that it was given."""

    @property
    @abstractmethod
    def panel(self) -> Panel:
        """The account's bars."""

    @abstractmethod
    def decisions(self, noise: Noise | None = None) -> Decisions:
        """Return the decisions on the account's bars, made on the whole history, noisy where asked."""

    @abstractmethod
    def account(
        self, decisions: Decisions, *, costs: Costs, extra_lag: int = 0, skipped: int = 0
    ) -> tuple[Array, TrialBatch]:
        """Return the simple returns per bar of decisions on the account's bars, and the trial they are.

        Parameters
        ----------
        extra_lag : int
            Bars by which every decision trades later than it should.
        skipped : int
            Bars by which the account starts later.
        """

    @abstractmethod
    def certificate(self, *, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
        """Return the causality certificate, as ``mnemo parity --json`` prints it."""
