"""What a dataset says it knew at an instant is what a replay of everything that arrived until then knows."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store import FeatureStore

START = datetime(2024, 1, 28, tzinfo=UTC)
SCHEMA = {
    "name": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "x": pl.Float64,
    "known": pl.Datetime("us", "UTC"),
}
value = st.sampled_from([None, 1.0, 2.0, float("nan")])
bar = st.tuples(st.sampled_from("ab"), st.integers(0, 7), value, st.integers(0, 2))
arrival = st.tuples(
    st.lists(bar, min_size=1, max_size=6), st.integers(1, 3), st.sampled_from([0, 4, 50]), st.booleans()
)
streams = st.lists(arrival, min_size=1, max_size=8)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def arrivals(stream):
    """Yield the rows of each write with the hour at which they became known; hours never fall back."""
    hour = 0
    for rows, later, tail_rows, compact in stream:
        yield (
            sorted(((name, at, x, hour + step) for name, at, x, step in rows), key=lambda r: r[3]),
            (
                tail_rows,
                compact,
            ),
        )
        hour += 2 + later


def replay(events, hour):
    """Return what was known at an hour: the last value per key, and since when it has been known."""
    known = {}
    for name, at, x, when in events:
        if when <= hour:
            before = known.get((name, at))
            if before is None or repr(before[0]) != repr(x):
                known[name, at] = (x, when)
    return {key: (repr(x), when) for key, (x, when) in known.items()}


def known_rows(frame: pl.DataFrame):
    rows = frame.select("name", "ts", "x", "known").iter_rows()
    return {
        (name, (ts - START).days): (repr(x), (known - START) // timedelta(hours=1))
        for name, ts, x, known in rows
    }


def stored(root: Path, stream, *, plain: bool):
    store, events = FeatureStore(root), []
    for rows, (tail_rows, compact) in arrivals(stream):
        data = [(name, day(at), x, START + timedelta(hours=when)) for name, at, x, when in rows]
        frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
        keys = {"entity": "name", "time": "ts", "known": "known"}
        store.write("d", frame, **keys, tail_rows=0 if plain else tail_rows)
        if compact and not plain:
            store.compact("d")
        # Of rows with one key and one arrival only the last was ever known.
        events += {(name, at, when): (name, at, x, when) for name, at, x, when in rows}.values()
    return store, sorted(events, key=lambda event: event[3])


@given(streams)
@settings(max_examples=50)
def test_as_of_is_a_replay_of_late_and_revised_rows(stream):
    with tempfile.TemporaryDirectory() as folder:
        store, events = stored(Path(folder), stream, plain=False)
        last = max(event[3] for event in events)
        fresh = FeatureStore(Path(folder))
        for hour in range(last + 1):
            found = fresh.as_of("d", START + timedelta(hours=hour)).collect()
            assert known_rows(found) == replay(events, hour)
            assert found.equals(found.sort("name", "ts"))
        assert fresh.as_of("d", START - timedelta(hours=1)).collect().is_empty()
        assert known_rows(fresh.scan("d").collect()) == replay(events, last)
        store.verify("d")


@given(streams)
@settings(max_examples=20)
def test_tails_and_compaction_leave_the_bytes_of_plain_writes(stream):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        tailed, _ = stored(Path(one), stream, plain=False)
        plain, _ = stored(Path(other), stream, plain=True)
        assert tailed.compact("d").partitions == plain.manifest("d").partitions


@given(streams)
@settings(max_examples=15)
def test_what_arrives_again_changes_nothing(stream):
    with tempfile.TemporaryDirectory() as folder:
        store, _ = stored(Path(folder), stream, plain=True)
        before = store.manifest("d")
        rows = store.as_of("d", START + timedelta(days=90)).collect()
        past = store.as_of("d", START + timedelta(hours=1)).collect()
        for frame in (rows, past):
            store.write("d", frame, entity="name", time="ts", known="known")
        assert store.manifest("d") == before
