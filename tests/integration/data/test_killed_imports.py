"""An import that dies at any file operation leaves a readable store; the next one completes it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from feature_store.atomic import on_fault_point
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.importing import import_files
from lab.data.raw import RawStore
from lab.data.synthetic import synthetic_market

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KILLED = 37


def run(root: Path, path: Path):
    return import_files([path], root=root, exchange=None, timeframe="1d", arrived=NOW)


def snapshot(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def payloads(tmp_path_factory) -> tuple[Path, Path]:
    """Two files, the second of which revises some bars of the first and adds others."""
    folder = tmp_path_factory.mktemp("payloads")
    bars = synthetic_market(seed=8, markets=2, bars=75)
    revised = bars.tail(80).with_columns(volume=pl.col("volume") * 2)
    bars.head(120).write_parquet(folder / "first.parquet")
    revised.write_parquet(folder / "second.parquet")
    return folder / "first.parquet", folder / "second.parquet"


class Killed(BaseException):
    """Stands for SIGKILL where the test stays in one process."""


def readable(root: Path, versions: list[pl.DataFrame | None]) -> None:
    """Check that the stored bars are those before the import or those after it."""
    if Catalog(root).markets().is_empty():
        assert None in versions
        return
    found = stored(root)
    assert any(found.equals(version) for version in versions if version is not None)


def stored(root: Path) -> pl.DataFrame:
    catalog = Catalog(root)
    return catalog.bars(catalog.markets()["market"].to_list(), "1d").select("ts", "market", *BAR_COLUMNS)


@pytest.mark.integration
def test_every_file_operation_of_two_imports_can_be_the_last(tmp_path, payloads):
    operations = []
    calm = tmp_path / "calm"
    on_fault_point(lambda name, path: operations.append(name))
    try:
        versions: list[pl.DataFrame | None] = [None]
        ends = []
        for path in payloads:
            run(calm, path)
            versions.append(stored(calm))
            ends.append(len(operations))
        on_fault_point(None)
        expected = snapshot(calm)
        assert len(operations) > 50
        for point in range(len(operations)):
            root = tmp_path / f"at{point}"
            left = [point]

            def hook(name, path, left=left):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1

            on_fault_point(hook)
            with pytest.raises(Killed):
                import_files(payloads, root=root, exchange=None, timeframe="1d", arrived=NOW)
            on_fault_point(None)
            readable(root, versions[:2] if point < ends[0] else versions[1:])
            for path in payloads:
                assert run(root, path)[0].ok
            assert snapshot(root) == expected, f"killed before {operations[point]} ({point})"
    finally:
        on_fault_point(None)


@pytest.mark.integration
@pytest.mark.parametrize("operation", ["create", "write", "fsync", "rename", "fsync-folder"])
def test_a_process_that_really_dies_leaves_nothing_that_matters(tmp_path, payloads, operation):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from datetime import datetime, UTC\n"
        "from feature_store.atomic import on_fault_point\n"
        "from lab.data.importing import import_files\n"
        "seen = []\n"
        "def hook(name, path):\n"
        "    seen.append(name)\n"
        f"    if name == {operation!r} and seen.count(name) == 4:\n"
        f"        os._exit({KILLED})\n"
        "on_fault_point(hook)\n"
        "import_files([Path(sys.argv[1])], root=Path(sys.argv[2]), exchange=None, timeframe='1d',\n"
        "             arrived=datetime(2026, 1, 1, tzinfo=UTC))\n"
    )
    root = tmp_path / "root"
    ended = subprocess.run([sys.executable, "-c", script, payloads[0], root], check=False, env={**os.environ})
    assert ended.returncode == KILLED
    assert Catalog(root).markets().is_empty() or stored(root).height > 0
    assert run(root, payloads[0])[0].ok
    run(tmp_path / "calm", payloads[0])
    assert snapshot(root) == snapshot(tmp_path / "calm")
    assert len(RawStore(root).records()) == 1


@pytest.mark.integration
@pytest.mark.parametrize("operation", ["create", "write", "fsync", "rename"])
def test_a_full_disk_is_a_verdict_and_the_next_import_completes(tmp_path, payloads, operation):
    count = []

    def hook(name, path):
        if name == operation:
            count.append(name)
            if len(count) >= 3:
                raise OSError(28, "No space left on device")

    on_fault_point(hook)
    try:
        verdict = run(tmp_path / "root", payloads[0])[0]
    finally:
        on_fault_point(None)
    assert not verdict.ok
    assert "No space left on device" in verdict.error
    assert run(tmp_path / "root", payloads[0])[0].ok
    run(tmp_path / "calm", payloads[0])
    assert snapshot(tmp_path / "root") == snapshot(tmp_path / "calm")
