"""Whatever is written in whatever pieces, the store holds what a dictionary would."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store import FeatureStore

START = datetime(2024, 1, 25, tzinfo=UTC)
row = st.tuples(st.sampled_from("abc"), st.integers(0, 45), st.sampled_from([None, 0.0, 1.5, float("nan")]))
writes = st.lists(st.lists(row, min_size=1, max_size=12), min_size=1, max_size=6)


def frame_of(rows):
    data = [(name, START + timedelta(days=day), value) for name, day, value in rows]
    schema = {"name": pl.String, "ts": pl.Datetime("us", "UTC"), "x": pl.Float64}
    return pl.DataFrame(data, schema=schema, orient="row")


@given(writes)
@settings(max_examples=40)
def test_the_store_is_a_dictionary_with_the_last_value_of_each_key(batches):
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        model = {}
        for batch in batches:
            store.write("d", frame_of(batch), entity="name", time="ts")
            model.update({(name, day): value for name, day, value in batch})
        expected = frame_of([(name, day, value) for (name, day), value in model.items()]).sort("name", "ts")
        found = FeatureStore(Path(folder)).scan("d").collect()
        assert found.sort("name", "ts").equals(expected)
        by_month = found.with_columns(month=pl.col("ts").dt.strftime("%Y-%m"))
        assert by_month.equals(by_month.sort("month", "name", "ts"))
        once = FeatureStore(Path(folder) / "once")
        whole = once.write("d", expected, entity="name", time="ts")
        pieces = store.manifest("d")
        assert [part.sha256 for part in pieces.partitions] == [part.sha256 for part in whole.partitions]
