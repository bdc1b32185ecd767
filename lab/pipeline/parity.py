"""The same bits from the last window as from the whole history: an instance's causality certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab.core.panel import Panel
from lab.pipeline.inputs import load_inputs
from lab.strategies import StrategyInstance
from lab.validation.causality import Certificate
from lab.validation.causality_strategy import certify_strategy

__all__ = ["certificate_of", "parity"]


def parity(
    config: StrategyInstance | Path | str,
    *,
    root: Path,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Certificate:
    """Certify an instance on its stored bars: features and weights recomputed from every cut of the bars.

    Raises
    ------
    ConfigError, DataError, InsufficientHistoryError
        As :func:`~lab.pipeline.inputs.load_inputs`.
    """
    inputs = load_inputs(config, root=root)
    return certificate_of(inputs.instance, inputs.panel, seed=seed, progress=progress)


def certificate_of(
    instance: StrategyInstance,
    panel: Panel,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Certificate:
    """Certify an instance on the bars of `panel`."""
    return certify_strategy(instance.strategy, panel, instance.params, seed=seed, progress=progress)
