"""Whatever pieces the bars come in, late, revised or from any start, the store holds what one build gives."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store import FeatureStore
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute, ema, mean, simple_return, total, universe_rank, volatility, zscore
from lab.features.store import FeatureFiles

FEATURES = (
    mean("close", 7),
    zscore("close", 12),
    ema("close", 2),
    total("volume", 5),
    simple_return("close", 9),
    volatility(6),
    universe_rank(mean("close", 4)),
)
LONGEST = max(feature.lookback for feature in FEATURES)


def make_panel(seed: int, rows: int, first: int) -> Panel:
    generator = np.random.default_rng(seed)
    day = Timeframe.parse("1d")
    bar = np.arange(first, first + rows)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.05, (rows, 4)), axis=0))
    close[generator.random(close.shape) < 0.05] = np.nan
    close[: rows // 4, 3] = np.nan
    fields = {"close": close, "volume": generator.lognormal(3.0, 1.0, close.shape)}
    return Panel(day, bar, day.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(4)), fields)


def altered(panel: Panel, row: int, column: int, field: str, factor: float) -> Panel:
    values = panel[field].copy()
    values[row, column] *= factor
    return replace(panel, fields={**panel.fields, field: values})


changes = st.lists(
    st.tuples(
        st.integers(0, 79),
        st.integers(0, 3),
        st.sampled_from(["close", "volume"]),
        st.sampled_from([1.0, 0.5, 1.0 + 2.0**-52, float("nan")]),
    ),
    max_size=6,
)


@given(
    seed=st.integers(0, 5),
    start=st.integers(0, 30),
    edges=st.sets(st.integers(1, 79), max_size=5),
    first_versions=changes,
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=25)
def test_any_pieces_and_revisions_give_the_rows_of_one_build(seed, start, edges, first_versions, order):
    final = make_panel(seed, 80, 19_500).rows(start, 80)
    early = final
    touched = [change for change in first_versions if change[0] < len(final)]
    for row, column, field, factor in touched:
        early = altered(early, row, column, field, factor)
    stops = [*sorted(edge for edge in edges if edge < len(final)), len(final)]
    with tempfile.TemporaryDirectory() as folder:
        pieces, whole = (FeatureFiles(FeatureStore(Path(folder) / name)) for name in ("pieces", "whole"))
        begin = 0
        for stop in stops:
            pieces.update(early.rows(begin, stop), FEATURES)
            begin = stop
        rows = sorted({change[0] for change in touched})
        order.shuffle(rows)
        for row in rows:
            pieces.update(final.rows(row, row + 1), FEATURES)
        whole.rebuild(final, FEATURES)
        (name,) = whole.store.datasets()
        left, right = (files.store.scan(name).collect().sort("market", "ts") for files in (pieces, whole))
        assert left.columns == right.columns
        for column in left.columns:
            if column not in ("market", "ts"):
                bits = [frame[column].to_numpy().view(np.int64) for frame in (left, right)]
                assert np.array_equal(*bits), column
        if len(final) >= LONGEST:
            assert pieces.verify(final, FEATURES).mismatches == 0


@given(seed=st.integers(0, 5), start=st.integers(0, 40), row=st.integers(0, 79), column=st.integers(0, 3))
@settings(max_examples=25)
def test_a_revision_computes_exactly_the_windows_that_differ_or_could(seed, start, row, column):
    final = make_panel(seed, 80, 19_500).rows(start, 80)
    row = min(row, len(final) - 1)
    early = altered(altered(final, row, column, "close", 1.5), row, column, "volume", 1.5)
    changed = [f for f in ("close", "volume") if not np.isnan(final[f][row, column])]
    with tempfile.TemporaryDirectory() as folder:
        files = FeatureFiles(FeatureStore(Path(folder)))
        files.rebuild(early, FEATURES)
        done = files.update(final, FEATURES)
        reads = {f: ("volume" if f.name == "total" else "close") for f in FEATURES}
        expected = sum(
            min(feature.lookback, len(final) - row) * (4 if feature.name == "universe_rank" else 1)
            for feature in FEATURES
            if reads[feature] in changed
        )
        assert done.windows == expected


@given(seed=st.integers(0, 5), start=st.integers(0, 50))
@settings(max_examples=15)
def test_what_is_stored_does_not_depend_on_where_history_starts(seed, start):
    panel = make_panel(seed, 90, 19_500)
    with tempfile.TemporaryDirectory() as folder:
        files = FeatureFiles(FeatureStore(Path(folder)))
        files.update(panel.rows(start, 90), FEATURES)
        read = files.read(panel.rows(start, 90), FEATURES)
        full = compute(panel, FEATURES)
        for feature in FEATURES:
            warm = start + feature.lookback - 1
            assert read[feature][feature.lookback - 1 :].tobytes() == full[feature][warm:].tobytes()
