from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from feature_store.atomic import on_fault_point, replacing, write_bytes, write_parquet
from feature_store.errors import StoreError


@pytest.fixture
def fail_at():
    """Make one file operation fail as a full disk does."""

    def arm(operation):
        def hook(name, path):
            if name == operation:
                raise OSError(28, "No space left on device")

        on_fault_point(hook)

    yield arm
    on_fault_point(None)


@pytest.mark.parametrize("operation", ["create", "write", "fsync", "rename"])
def test_a_failed_write_leaves_the_old_file_and_says_so(tmp_path, fail_at, operation):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    fail_at(operation)
    with pytest.raises(StoreError, match=r"cannot write .*file: No space left .* untouched"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_error_of_the_writer_passes_through_and_leaves_nothing(tmp_path):
    def broken(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), replacing(tmp_path / "file") as temporary:
        broken(temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_a_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Check free space and permissions"):
        write_bytes(tmp_path / "file", b"x")
    tmp_path.chmod(0o700)


def test_equal_frames_give_equal_parquet_bytes(tmp_path):
    frame = pl.DataFrame({"a": range(10_000)})
    write_parquet(tmp_path / "one", frame)
    write_parquet(tmp_path / "two", pl.concat([frame.head(17), frame.slice(17)], rechunk=True))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pl.read_parquet(tmp_path / "one").equals(frame)
