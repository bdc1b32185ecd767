"""``mnemo bench``: ours against a peer, in one run, interleaved, outputs compared, as a ratio."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Final

from lab.core.errors import ConfigError
from lab.pipeline.bench.harness import Case, Measurement, measure

__all__ = ["Case", "Measurement", "cases", "measure", "run_cases"]

# Each module holds a tuple CASES; imported only when asked for, since peers are heavy.
_MODULES: Final = ("engine", "sweeps", "features", "data", "store", "search", "bridge")


def cases(only: str | None = None) -> list[Case]:
    """Return the cases whose name contains `only`, all of them without it.

    Raises
    ------
    ConfigError
        If there is none.
    """
    every: list[Case] = []
    for name in _MODULES:
        every += importlib.import_module(f"lab.pipeline.bench.{name}").CASES
    chosen = [case for case in every if only is None or only in case.name]
    if not chosen:
        raise ConfigError(f"no case named like {only!r}; there are {', '.join(case.name for case in every)}")
    return chosen


def run_cases(
    only: str | None, *, runs: int, report: Callable[[str, int, int], None]
) -> Iterator[Measurement]:
    """Measure one case after another."""
    chosen = cases(only)
    for number, case in enumerate(chosen):
        report("benchmarks", number, len(chosen))
        yield measure(case, runs=runs)
    report("benchmarks", len(chosen), len(chosen))
