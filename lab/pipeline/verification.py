"""One number whichever way it is made: every registered feature on the stored bars, to the last bit."""

from __future__ import annotations

import inspect
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from feature_store import FeatureStore
from lab import features as library
from lab.core.errors import ConfigError, DataError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.features import compute, definition_of, definitions
from lab.features.store import FeatureFiles
from lab.pipeline.features import feature_files
from lab.validation.causality_bits import differing, distance

__all__ = ["feature_examples", "verify_features", "verify_panel"]

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]
_SINGLE_BARS: Final = 12
_PIECES: Final = 12
# What the constructors' parameters are called, and a usual choice for each.
_USUAL: Final = {
    "column": "close",
    "other": "volume",
    "window": 20,
    "span": 12,
    "share": 0.25,
    "fast": 12,
    "slow": 26,
    "history": 100,
}
_COARSER: Final = {"m": "1h", "h": "1d", "d": "1w", "w": "4w"}


def feature_examples(timeframe: Timeframe, markets: Sequence[str], *, only: str = "") -> tuple[Feature, ...]:
    """Return a feature of every registered definition with a constructor, by name, with usual parameters.

    Raises
    ------
    ConfigError
        If a constructor asks for a parameter that has no usual value here.

    Examples
    --------
    >>> made = feature_examples(Timeframe.parse("1d"), ["binance:BTC/USDT"])
    >>> {"adx", "coarser", "rsi", "universe_rank", "zscore"} <= {feature.name for feature in made}
    True
    """
    usual: dict[str, Any] = {
        **_USUAL,
        "reference": markets[0],
        "feature": library.mean("close", 10),
        "timeframe": _COARSER[timeframe.name[-1]],
        "of": str(timeframe),
    }
    made = []
    for name in sorted(each for each in definitions() if only in each):
        # Strategies define features of their own; those without a constructor, such as the weights of an
        # ensemble's members, are proven by the certificate of the strategy.
        constructor = getattr(sys.modules[definitions()[name].evaluate.__module__], name, None)
        if constructor is None:
            continue
        needed = [
            parameter.name
            for parameter in inspect.signature(constructor).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
        unknown = [parameter for parameter in needed if parameter not in usual]
        if unknown:
            raise ConfigError(f"feature {name}: no usual value for its parameter {unknown[0]!r}")
        made.append(constructor(**{parameter: usual[parameter] for parameter in needed}))
    return tuple(made)


def verify_features(
    root: Path,
    *,
    timeframe: str | None = None,
    markets: Sequence[str] | None = None,
    only: str | None = None,
    bars: int | None = None,
    seed: int = 0,
    progress: Report | None = None,
) -> list[dict[str, Any]]:
    """Verify features on all stored bars; see :func:`verify_panel`.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``data/``.
    timeframe, markets : optional
        Only these.
    only : str, optional
        Features whose name contains this.
    bars : int, optional
        Only this many last bars of each timeframe.
    seed : int
        Of the pieces, and of the late and revised bars.
    progress : callable, optional
        ``progress(task, done, total)``.

    Returns
    -------
    list of dict
        Per timeframe and feature: ``feature, timeframe, markets, lookback, bars_checked, tail_mismatches,
        incremental_mismatches, stored_mismatches`` (None where nothing is stored), ``max_ulp, first``.

    Raises
    ------
    DataError
        If no bars are stored.
    """
    catalog = Catalog(root)
    stored = catalog.markets(timeframe)
    if markets is not None:
        grid = timeframe or (stored["timeframe"].to_list() or ["1d"])[0]
        catalog.bars(markets, grid)  # an unknown market is an error with the nearest names
        stored = stored.filter(stored["market"].is_in(list(markets)))
    if stored.is_empty():
        kind = f"{timeframe} bars" if timeframe else "bars"
        raise DataError(f"no {kind} are stored; import some with 'mnemo data import'")
    rows: list[dict[str, Any]] = []
    for name in stored["timeframe"].unique().sort().to_list():
        names = sorted(stored.filter(stored["timeframe"] == name)["market"].to_list())
        marked = catalog.bars(names, name)
        panel = panel_from_bars(marked, timeframe=name, markets=names, settings=catalog.settings)
        panel = panel if bars is None else panel.tail(bars)
        features = feature_examples(panel.timeframe, names, only=only or "")
        if not features:
            raise ConfigError(f"no feature is named like {only!r}; defined are {', '.join(definitions())}")
        built = feature_files(root) if bars is None else None
        rows += verify_panel(panel, features, seed=seed, stored=built, progress=progress)
    return rows


def verify_panel(
    panel: Panel,
    features: Sequence[Feature],
    *,
    seed: int = 0,
    stored: FeatureFiles | None = None,
    progress: Report | None = None,
) -> list[dict[str, Any]]:
    """Compare features of `panel` with those of last windows alone, and with those that a store was fed.

    The store, a temporary one, gets the bars in random pieces, some of them late and some in a first version
    that is revised afterwards, the last ones one by one.
    """
    report = progress or (lambda task, done, total: None)
    long_enough = [feature for feature in features if feature.lookback <= len(panel)]
    incremental = _incremental(panel, long_enough, seed) if long_enough else {}
    rows = []
    for number, feature in enumerate(features):
        report(f"verify {panel.timeframe}", number, len(features))
        full = compute(panel, [feature])[feature]
        tails, pieces = _tails(panel, feature), incremental.get(feature, full)
        by_tail, by_piece = (differing(values, full) for values in (tails, pieces))
        at = np.argwhere(by_tail | by_piece)
        row: dict[str, Any] = {
            "feature": str(feature),
            "timeframe": str(panel.timeframe),
            "markets": len(panel.markets),
            "lookback": feature.lookback,
            "bars_checked": max(len(panel) - feature.lookback + 1, 0),
            "tail_mismatches": int(by_tail.sum()),
            "incremental_mismatches": int(by_piece.sum()),
            "stored_mismatches": None,
            "max_ulp": max(distance(tails, full), distance(pieces, full)),
            "first": f"{panel.markets[at[0, 1]]} at {panel.ts[at[0, 0]]}Z" if len(at) else None,
        }
        rows.append(row | _stored(stored, panel, feature, row["first"]))
    report(f"verify {panel.timeframe}", len(features), len(features))
    return rows


def _tails(panel: Panel, feature: Feature) -> Array:
    """Return the last row of every last window, NaN before the first."""
    columns: dict[str | Feature, Array] = {
        name: panel[name] for name in definition_of(feature).inputs(feature)
    }
    bars = replace(panel, fields=columns)
    out = np.full(panel.shape, np.nan)
    for row in range(feature.lookback - 1, len(panel)):
        part = bars.rows(row + 1 - feature.lookback, row + 1)
        out[row] = compute(part, [feature])[feature][-1]
    return out


def _incremental(panel: Panel, features: Sequence[Feature], seed: int) -> dict[Feature, Array]:
    generator = np.random.default_rng(seed)
    rows = len(panel)
    single = max(rows - _SINGLE_BARS, 1)
    edges = sorted({0, single, *(int(edge) for edge in generator.integers(0, single, _PIECES))})
    pieces = [*itertools.pairwise(edges), *((row, row + 1) for row in range(single, rows))]
    late, revised = generator.permutation(rows)[:3], generator.permutation(rows)[:5]
    first_version = _scaled(_scaled(panel, revised, 1.0625), late, np.nan)
    with tempfile.TemporaryDirectory() as folder:
        files = FeatureFiles(FeatureStore(Path(folder)))
        for start, stop in pieces:
            files.update(first_version.rows(start, stop), features)
        for row in generator.permutation(np.union1d(late, revised)):
            files.update(panel.rows(int(row), int(row) + 1), features)
        read = files.read(panel, features)
        return {feature: read[feature] for feature in features}


def _scaled(panel: Panel, rows: NDArray[np.int64], factor: float) -> Panel:
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for values in fields.values():
        values[rows] *= factor
    return replace(panel, fields=fields)


def _stored(files: FeatureFiles | None, panel: Panel, feature: Feature, wrong: str | None) -> dict[str, Any]:
    """Compare what is stored under the root, where the feature is stored at all for these markets."""
    if files is None or not any(entry["feature"] == feature.key for entry in files.stored()):
        return {}
    try:
        rows = files.scan(feature, panel.timeframe, panel.markets)
    except DataError:  # stored by other code, or for another universe
        return {}
    spans = rows.group_by("market").agg(first=pl.col("ts").min(), last=pl.col("ts").max()).collect()
    spans = spans.filter(pl.col("market").is_in(list(panel.markets)))
    if spans.is_empty():
        return {}
    first, last = (
        panel.timeframe.numbers(spans.select(end).to_series().to_numpy()) - panel.bar[0]
        for end in ("first", "last")
    )
    part = panel.select(sorted(spans["market"].to_list()))
    found = files.verify(part.rows(max(int(first.max()), 0), int(last.min()) + 1), [feature])
    return {"stored_mismatches": found.mismatches, "first": wrong or found.first}
