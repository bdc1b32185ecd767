"""Store cases: one new bar through the feature store, against writing the features of all bars anew."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from feature_store import FeatureStore
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import (
    deviation,
    ema,
    highest,
    lowest,
    mean,
    simple_return,
    volatility,
    zscore,
)
from lab.features.store import FeatureFiles
from lab.pipeline.bench.harness import Case

__all__ = ["CASES"]

_WINDOWS: Final = (10, 20, 50)
_OF_WINDOW: Final = (mean, deviation, zscore, highest, lowest)
_FEATURES: Final = (
    *(made("close", window) for made in _OF_WINDOW for window in _WINDOWS),
    simple_return("close", 20),
    simple_return("close", 90),
    volatility(20),
    volatility(60),
    ema("close", 12),
)
_MARKETS: Final = 50
_BARS_TO_COME: Final = 64
_SMALL: Final = 1_000


@dataclass(slots=True)
class _Stored:
    """A store, all bars that there will be, and how many it has been given."""

    panel: Panel
    files: FeatureFiles
    bars: int


def _store(bars: int) -> _Stored:
    """Return a store with the features of the first `bars` bars of 50 seeded random walks."""
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1h")
    number = np.arange(300_000, 300_000 + bars + _BARS_TO_COME)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.005, (len(number), _MARKETS)), axis=0))
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(_MARKETS))
    panel = Panel(grid, number, grid.open_times(number), names, {"close": close})
    files = FeatureFiles(FeatureStore(_folder(bars)))
    files.rebuild(panel.rows(0, bars), _FEATURES)
    return _Stored(panel, files, bars)


def _folder(bars: int) -> Path:
    """Return an empty folder of this process; folders of processes that are gone are removed."""
    parent = Path(tempfile.gettempdir()) / "mnemo-bench"
    for old in parent.glob("*-*"):
        if not Path(f"/proc/{old.name.partition('-')[0]}").exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = parent / f"{os.getpid()}-{bars}"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _incremental(given: _Stored) -> Any:
    given.bars += 1
    given.files.update(given.panel.rows(given.bars - 1, given.bars), _FEATURES)
    return _last_row(given)


def _rebuilt(given: _Stored) -> Any:
    given.bars += 1
    given.files.rebuild(given.panel.rows(0, given.bars), _FEATURES)
    return _last_row(given)


def _last_row(given: _Stored) -> Any:
    """Return what the store holds of the newest bar, read back from disk."""
    part = given.panel.rows(given.bars - 1, given.bars)
    read = given.files.read(part, _FEATURES)
    return np.array([read[feature][-1] for feature in _FEATURES])


def _agree(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(np.isfinite(ours), True)
    np.testing.assert_array_equal(ours.view(np.int64), theirs.view(np.int64))


def _case(bars: int) -> Case:
    return Case(
        name=f"store one bar, {_MARKETS} markets x {len(_FEATURES)} features, {bars:,} bars before",
        peer="rebuild",
        prepare=partial(_store, bars),
        ours=_incremental,
        theirs=_rebuilt,
        agree=_agree,
        rehearse=partial(_store, _SMALL),
        most_runs=3,
    )


CASES = (_case(10_000), _case(100_000))
