from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store import CorruptFileError, FeatureStore, StoreError, StoreLockedError
from feature_store.atomic import exclusive

START = datetime(2024, 1, 30, tzinfo=UTC)
KEYS = {"entity": "name", "time": "ts"}


def frame(rows, **more):
    """Build rows from (name, day after 30 January, x)."""
    data = {
        "name": [name for name, _, _ in rows],
        "ts": [START + timedelta(days=day) for _, day, _ in rows],
        "x": [x for _, _, x in rows],
    }
    schema = {"name": pl.String, "ts": pl.Datetime("us", "UTC"), "x": pl.Float64}
    return pl.DataFrame(data, schema=schema).with_columns(**more)


ROWS = [("b", 0, 1.0), ("a", 1, 2.0), ("a", 0, 3.0), ("a", 2, 4.0), ("a", 3, 5.0)]


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


def test_rows_come_back_by_month_then_entity_then_time(store):
    manifest = store.write("bars/1d", frame(ROWS), **KEYS)
    assert [(part.month, part.rows) for part in manifest.partitions] == [("2024-01", 3), ("2024-02", 2)]
    assert store.scan("bars/1d").collect()["x"].to_list() == [3.0, 2.0, 1.0, 4.0, 5.0]
    assert (manifest.rows, manifest.first, manifest.last) == (
        5,
        "2024-01-30T00:00:00.000000Z",
        "2024-02-02T00:00:00.000000Z",
    )
    assert store.datasets() == ["bars/1d"]
    assert store.entities("bars/1d") == ["a", "b"]
    assert store.manifest("bars/1d") == manifest


def test_files_are_zstd_parquet_named_by_checksum_and_only_they_are_read(store):
    manifest = store.write("d", frame(ROWS), **KEYS)
    folder = store.folder("d")
    for part in manifest.partitions:
        assert part.file == f"{part.month}.{part.sha256[:12]}.parquet"
        assert (folder / part.file).stat().st_size == part.bytes
        assert b"PAR1" in (folder / part.file).read_bytes()[:4]
    (folder / "2024-03.ffffffffffff.parquet").write_bytes((folder / manifest.partitions[0].file).read_bytes())
    assert store.scan("d").collect().height == 5


def test_a_scan_selects_columns_entities_and_a_half_open_span(store):
    store.write("d", frame(ROWS), **KEYS)
    span = store.scan("d", start=START + timedelta(days=1), end=START + timedelta(days=3)).collect()
    assert span["x"].to_list() == [2.0, 4.0]
    assert store.scan("d", entities=["b"], columns=["x"]).collect().to_dict(as_series=False) == {"x": [1.0]}
    nothing = store.scan("d", start=START + timedelta(days=400)).collect()
    assert nothing.height == 0
    assert nothing.columns == ["name", "ts", "x"]


def test_months_outside_the_span_are_not_opened(store):
    manifest = store.write("d", frame(ROWS), **KEYS)
    (store.folder("d") / manifest.partitions[0].file).write_bytes(b"damaged")
    assert store.scan("d", start=START + timedelta(days=2)).collect().height == 2


def test_the_same_rows_again_change_no_byte(store):
    store.write("d", frame(ROWS), **KEYS, inputs=["one"])
    before = snapshot(store.root)
    store.write("d", frame(ROWS[::-1]), **KEYS, inputs=["two"])
    store.write("d", frame(ROWS[:2]).select("x", "ts", "name"), **KEYS, inputs=["two"])
    assert snapshot(store.root) == before


def test_null_and_nan_are_values_that_can_arrive_again(store):
    rows = [("a", 0, None), ("b", 0, float("nan"))]
    store.write("d", frame(rows), **KEYS)
    before = snapshot(store.root)
    store.write("d", frame(rows), **KEYS)
    assert snapshot(store.root) == before


def test_a_later_row_replaces_and_only_its_month_is_written(store):
    store.write("d", frame(ROWS), **KEYS, inputs=["one"])
    february = snapshot(store.root)[store.datasets()[0] + "/" + store.manifest("d").partitions[1].file]
    manifest = store.write("d", frame([("a", 0, 30.0), ("c", 0, 7.0)]), **KEYS, inputs=["two"])
    assert store.scan("d").collect()["x"].to_list() == [30.0, 2.0, 1.0, 7.0, 4.0, 5.0]
    assert [part.inputs for part in manifest.partitions] == [("one", "two"), ("one",)]
    assert snapshot(store.root)["d/" + manifest.partitions[1].file] == february
    names = {path.name for path in store.folder("d").iterdir()}
    assert names == {"manifest.json", ".lock", *(part.file for part in manifest.partitions)}


def test_lineage_names_the_inputs_of_each_month(store):
    store.write("d", frame(ROWS), **KEYS, inputs={"2024-01": ["one"], "2024-02": ["two"]})
    assert [(entry["month"], entry["inputs"]) for entry in store.lineage("d")] == [
        ("2024-01", ["one"]),
        ("2024-02", ["two"]),
    ]


def test_of_repeated_rows_the_last_wins_or_the_latest_known(store):
    store.write("d", frame([("a", 0, 1.0), ("a", 0, 2.0)]), **KEYS)
    assert store.scan("d").collect()["x"].to_list() == [2.0]
    known = pl.Series("known", [START + timedelta(hours=2), START])
    store.write("k", frame([("a", 0, 1.0), ("a", 0, 2.0)], known=known), **KEYS, known="known")
    assert store.scan("k").collect()["x"].to_list() == [1.0]


def test_a_row_that_was_known_earlier_does_not_replace_and_first_arrival_stays(store):
    def write(x, hour):
        rows = frame([("a", 0, x)], known=pl.lit(START + timedelta(hours=hour)))
        store.write("k", rows, **KEYS, known="known")
        row = store.scan("k").collect().row(0, named=True)
        return row["x"], (row["known"] - START) // timedelta(hours=1)

    assert write(1.0, 5) == (1.0, 5)
    assert write(1.0, 9) == (1.0, 5)
    assert write(2.0, 4) == (1.0, 5)
    assert write(2.0, 6) == (2.0, 6)


def test_overwriting_drops_rows_columns_and_inputs(store):
    store.write("d", frame(ROWS), **KEYS, inputs=["one"])
    manifest = store.write(
        "d", frame(ROWS[:1], y=pl.lit(1)), **KEYS, inputs=["two"], metadata={"by": "test"}, overwrite=True
    )
    assert store.scan("d").collect().columns == ["name", "ts", "x", "y"]
    assert [part.inputs for part in manifest.partitions] == [("two",)]
    assert store.manifest("d").metadata == {"by": "test"}


def test_other_columns_or_keys_are_refused_and_nothing_changes(store):
    store.write("d", frame(ROWS), **KEYS)
    before = snapshot(store.root)
    for rows, keys in (
        (frame(ROWS, y=pl.lit(1)), KEYS),
        (frame(ROWS).with_columns(pl.col("x").cast(pl.Float32)), KEYS),
        (frame(ROWS, z=pl.col("name")).drop("x"), {"entity": "z", "time": "ts"}),
    ):
        with pytest.raises(StoreError, match="offered"):
            store.write("d", rows, **keys)
    with pytest.raises(StoreError, match="key column ts missing"):
        store.write("d", frame(ROWS).drop("ts"), **KEYS)
    with pytest.raises(StoreError, match="rows have no name"):
        store.write("d", frame([(None, 0, 1.0)]), **KEYS)
    with pytest.raises(StoreError, match="expected Datetime"):
        store.write("d", frame(ROWS).with_columns(pl.col("ts").dt.replace_time_zone(None)), **KEYS)
    assert snapshot(store.root) == before


@pytest.mark.parametrize("damage", ["truncate", "flip", "garbage", "empty", "delete"])
def test_a_damaged_file_is_named_and_never_read_as_empty(store, damage):
    manifest = store.write("d", frame(ROWS), **KEYS)
    path = store.folder("d") / manifest.partitions[1].file
    data = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"truncate": data[:-9], "flip": flipped, "garbage": b"no", "empty": b""}[damage])
    fresh = FeatureStore(store.root)
    for use in (
        lambda: fresh.scan("d").collect(),
        lambda: store.scan("d").collect(),
        lambda: fresh.verify("d"),
        lambda: fresh.write("d", frame([("a", 3, 9.0)]), **KEYS),
    ):
        with pytest.raises(CorruptFileError, match=path.name.replace(".", r"\.")):
            use()


def test_a_file_exchanged_for_another_valid_one_is_noticed(store):
    manifest = store.write("d", frame(ROWS), **KEYS)
    one, two = (store.folder("d") / part.file for part in manifest.partitions)
    two.write_bytes(one.read_bytes())
    with pytest.raises(CorruptFileError, match=two.name.replace(".", r"\.")):
        store.scan("d")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "null"])
def test_a_damaged_manifest_is_named(store, text):
    store.write("d", frame(ROWS), **KEYS)
    (store.folder("d") / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        store.scan("d")
    with pytest.raises(StoreError, match=r"manifest\.json"):
        store.write("d", frame(ROWS), **KEYS)


def test_another_schema_version_is_refused_with_what_to_do(store):
    store.write("d", frame(ROWS), **KEYS)
    path = store.folder("d") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 3}))
    with pytest.raises(StoreError, match=r"schema version 3 found, this program reads versions 1 to 2\. Use"):
        store.scan("d")


def test_a_manifest_that_contradicts_its_rows_or_place_is_refused(store):
    store.write("d", frame(ROWS), **KEYS)
    path = store.folder("d") / "manifest.json"
    document = json.loads(path.read_text())
    for change in ({"rows": 4}, {"dataset": "e"}):
        path.write_text(json.dumps({**document, **change}))
        with pytest.raises(CorruptFileError, match="contradicts"):
            store.scan("d")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/../b", "/etc", "a//b", "a/", ".hidden", "a b", "<script>", "a\n"]
)
def test_names_that_could_leave_the_store_are_refused(store, name):
    with pytest.raises(StoreError, match="refused"):
        store.write(name, frame(ROWS), **KEYS)
    assert not store.root.exists()


def test_nothing_stored_is_an_error_not_an_empty_frame(store):
    assert store.manifest("d") is None
    with pytest.raises(StoreError, match="nothing is stored"):
        store.scan("d")


def test_a_second_writer_waits_and_then_is_told(store):
    store.write("d", frame(ROWS), **KEYS)
    with exclusive(store.folder("d")):
        with (
            pytest.raises(StoreLockedError, match="locked by another run"),
            exclusive(store.folder("d"), timeout=0.05),
        ):
            pass
        assert store.scan("d").collect().height == 5


def test_a_reader_that_loses_its_files_to_a_writer_reads_the_newer_ones(store, monkeypatch):
    old = store.write("d", frame(ROWS), **KEYS)
    store.write("d", frame([("a", 0, 30.0)]), **KEYS)
    reader = FeatureStore(store.root)
    real, stale = reader.manifest, [old]
    monkeypatch.setattr(reader, "manifest", lambda name: stale.pop() if stale else real(name))
    assert reader.scan("d").collect()["x"].to_list()[0] == 30.0
