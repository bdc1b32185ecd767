"""New rows go to a small tail; whoever reads cannot tell, and whoever dies leaves one of two states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store import CorruptFileError, FeatureStore
from feature_store.atomic import on_fault_point

START = datetime(2024, 1, 25, tzinfo=UTC)


def frame(days: range, names: str = "ab", offset: float = 0.0) -> pl.DataFrame:
    rows = [(name, START + timedelta(days=day), day + offset) for day in days for name in names]
    schema = {"name": pl.String, "ts": pl.Datetime("us", "UTC"), "x": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def write(store: FeatureStore, rows: pl.DataFrame, limit: int = 8) -> None:
    def inputs(part: pl.DataFrame) -> list[str]:
        return [str(part.height)]

    store.write("d", rows, entity="name", time="ts", inputs=inputs, tail_rows=limit)


def content(store: FeatureStore) -> list[tuple[object, ...]]:
    return FeatureStore(store.root).scan("d").collect().sort("name", "ts").rows()


def test_new_rows_leave_partitions_and_manifest_alone(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write(store, frame(range(10)))
    before = (store.folder("d") / "manifest.json").read_bytes()
    for day in range(10, 14):
        write(store, frame(range(day, day + 1)))
        assert content(store) == frame(range(day + 1)).sort("name", "ts").rows()
    assert (store.folder("d") / "manifest.json").read_bytes() == before
    tail = store.tail("d")
    assert tail is not None
    assert tail.height == 8
    write(store, frame(range(14, 15)))
    assert store.tail("d") is None
    assert [part.inputs for part in store.manifest("d").partitions] == [("14",), ("16",)]


def test_compacted_files_are_those_of_one_write(tmp_path: Path) -> None:
    pieces, whole = FeatureStore(tmp_path / "pieces"), FeatureStore(tmp_path / "whole")
    write(whole, frame(range(12)))
    write(pieces, frame(range(9)))
    for day in range(9, 12):
        write(pieces, frame(range(day, day + 1)))
    pieces.compact("d", inputs=lambda part: [str(part.height)])
    assert [p.sha256 for p in pieces.manifest("d").partitions] == [
        p.sha256 for p in whole.manifest("d").partitions
    ]
    assert pieces.tail("d") is None


def test_a_late_row_and_a_new_one_appear_together(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write(store, frame(range(10)))
    write(store, frame(range(10, 11)))
    both = pl.concat([frame(range(3, 4), offset=0.5), frame(range(11, 12)), frame(range(10, 11), offset=0.5)])
    write(store, both)
    values = {row[1]: row[2] for row in content(store)}
    assert [values[START + timedelta(days=day)] for day in (3, 9, 10, 11)] == [3.5, 9.0, 10.5, 11.0]


def test_overwriting_forgets_the_tail(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write(store, frame(range(10)))
    write(store, frame(range(10, 12)))
    store.write("d", frame(range(2)), entity="name", time="ts", overwrite=True)
    assert content(store) == frame(range(2)).sort("name", "ts").rows()
    write(store, frame(range(2, 3)))
    assert content(store) == frame(range(3)).sort("name", "ts").rows()


def test_a_damaged_tail_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write(store, frame(range(10)))
    write(store, frame(range(10, 11)))
    (path,) = store.folder("d").glob("tail.*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptFileError, match="tail"):
        content(store)
    with pytest.raises(CorruptFileError, match="tail"):
        store.verify("d")


STEPS = [
    frame(range(10)),
    frame(range(10, 11)),
    frame(range(11, 13)),
    frame(range(9, 16)),
    frame(range(16, 17)),
]


def test_a_write_that_dies_anywhere_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    survived = 0
    for step in range(1, len(STEPS)):
        for death in range(40):
            store = FeatureStore(tmp_path / f"{step}-{death}")
            for rows in STEPS[:step]:
                write(store, rows)
            before = content(store)
            left = [death]

            def die(operation: str, path: Path, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise KilledError

            on_fault_point(die)
            try:
                write(store, STEPS[step])
            except KilledError:
                survived += 1
            finally:
                on_fault_point(None)
            after = frame(range(17)).filter(pl.col("ts") <= STEPS[step]["ts"].max()).sort("name", "ts").rows()
            assert content(store) in (before, after)
            write(store, STEPS[step])
            assert content(store) == after
            if left[0] >= 0:
                break
    assert survived > 20


def test_zeros_of_both_signs_are_two_values(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    write(store, frame(range(3)))
    for zero in (0.0, -0.0, 0.0):
        write(store, frame(range(1, 2), names="a").with_columns(x=pl.lit(zero)))
        bits = [str(row[2]) for row in content(store) if row[:2] == ("a", START + timedelta(days=1))]
        assert bits == [str(zero)]
