"""What the doctor finds in healthy and in broken places; it changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest

from lab.cli import main
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from lab.pipeline.doctor import Check, examine
from lab.pipeline.doctor.bridge import key_checks
from lab.pipeline.doctor.bridge import keys as bridge_keys
from lab.pipeline.doctor.environment import packages
from lab.pipeline.doctor.machine import clock, key_files, keys
from lab.pipeline.doctor.stores import database, runs, store

NOW = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    bars = synthetic_market(seed=1, markets=2, bars=60, timeframe="1d").drop_nulls()
    Catalog(root).append(bars, timeframe="1d", known_at=datetime(2026, 1, 1, tzinfo=UTC))
    return root


@pytest.fixture
def root(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "copy"))


def by_name(root: Path) -> dict[str, Check]:
    return {found.name: found for found in examine(root, now=NOW, variables={})}


def content(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_healthy_root_has_no_failure_and_is_left_alone(root: Path) -> None:
    before = content(root)
    found = by_name(root)
    assert {check.status for check in found.values()} <= {"ok", "skipped"}
    assert found["bars"].found.startswith("120 rows in ")
    assert found["kernels"].status == "ok"
    assert content(root) == before


def test_a_root_that_does_not_exist_is_no_failure(tmp_path: Path) -> None:
    assert {check.status for check in by_name(tmp_path / "new").values()} <= {"ok", "skipped"}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", ["one bit", "gone", "cut"])
def test_a_damaged_file_of_bars_is_named_and_stays_where_it_is(root: Path, damage: str) -> None:
    file = min((root / "data" / "bars").rglob("*.parquet"))
    bytes_before = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(bytes_before[:-20])
    else:
        bytes_before[len(bytes_before) // 2] ^= 1
        file.write_bytes(bytes_before)
    found = store("bars", root / "data" / "bars", "build it again")
    assert (found.status, found.remedy) == ("failed", "build it again")
    assert file.name in found.found
    assert file.exists() is (damage != "gone")


def test_a_broken_ledger_is_a_failure(root: Path) -> None:
    path = root / "data" / "ledger" / "trials.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"hash": "no"}\n')
    assert by_name(root)["trial ledger"].status == "failed"


def test_databases_are_checked_without_being_opened_for_writing(tmp_path: Path) -> None:
    file = tmp_path / "mlruns" / "mlflow.db"
    file.parent.mkdir()
    file.write_bytes(b"this is no database at all, whatever its name says" * 100)
    assert runs(tmp_path).status == "failed"
    file.write_bytes(b"")
    assert "empty" in database("journal", file, "").found
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, lifecycle_stage TEXT)")
        connection.execute("INSERT INTO runs VALUES ('a', 'active'), ('b', 'deleted')")
    connection.close()
    assert runs(tmp_path).found.startswith("1 runs")


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    needed = {line.split()[0] for line in ("polars", "numba")}
    lock.write_text(
        "polars==1.0 ; python_version < '3.12' \\\n    --hash=sha256:0\npolars==2.0\nnumba==0.1\n"
    )
    everything = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    installed = {name: version for name, version in everything.items() if name.lower() not in needed}
    assert packages(lock, {**installed, "polars": "2.0", "numba": "0.1"}).status == "ok"
    other = packages(lock, {**installed, "Polars": "3.0", "numba": "0.1"})
    assert other.status == "failed"
    assert "polars 3.0 (lock: 1.0 or 2.0)" in other.found
    missing = packages(lock, {**installed, "polars": "2.0"})
    assert (missing.status, missing.found) == ("failed", "missing: numba")


def test_a_clock_behind_the_newest_file_is_noticed(root: Path) -> None:
    newest = max(path.stat().st_mtime for path in root.rglob("*") if path.is_file())
    moment = datetime.fromtimestamp(newest, UTC)
    assert clock(root, moment + timedelta(seconds=1)).status == "ok"
    behind = clock(root, moment - timedelta(hours=1))
    assert behind.status == "failed"
    assert "3,600 s younger" in behind.found


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o640, "failed"), (0o604, "failed")]
)
@pytest.mark.parametrize("name", [".env", "data/live/keys.yaml"])
def test_key_files_are_for_their_owner_only(tmp_path: Path, name: str, mode: int, status: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("api_key: canary")
    file.chmod(mode)
    found = key_files(tmp_path, {})
    assert found.status == status
    assert "canary" not in str(found)


def test_key_files_named_by_the_environment_are_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    assert key_files(tmp_path / "root", {"MNEMO_BINANCE_KEYS_FILE": str(file)}).status == "failed"
    file.write_text("x")
    file.chmod(0o644)
    assert "chmod 600" in key_files(tmp_path / "root", {"MNEMO_BINANCE_KEYS_FILE": str(file)}).remedy


def test_keys_are_told_by_name_only() -> None:
    pair = {"MNEMO_BINANCE_API_KEY": "canary-1", "MNEMO_BINANCE_API_SECRET": "canary-2"}
    assert keys(pair).found == "key and secret for binance"
    file = {"MNEMO_OKX_KEYS_FILE": "/canary", "MNEMO_KEYS_PASSPHRASE_FILE": "/canary"}
    assert keys(file).found == "a file for okx"
    assert keys(pair | file).found == "key and secret for binance; a file for okx"
    half = keys({"MNEMO_OKX_API_KEY": "canary-3"})
    assert half.status == "failed"
    assert "canary" not in str(half)


def test_the_command_exits_with_1_when_a_check_failed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as healthy:
        main(["doctor", "--root", str(root), "--json"])
    assert healthy.value.code == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    file = root / ".env"
    file.write_text("x")
    os.chmod(file, 0o644)  # noqa: PTH101
    with pytest.raises(SystemExit) as broken:
        main(["doctor", "--root", str(root), "--json"])
    assert broken.value.code == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [check["name"] for check in document["checks"] if check["status"] == "failed"] == ["key files"]
    assert "1 of 14 checks failed: key files" in printed.err


def test_what_the_exchange_says_of_a_key_is_failed_or_a_warning() -> None:
    said = {"source": "encrypted file", "exchange": "binance", "age_days": 151.0}
    codes = ("KEY_REFUSED", "KEY_UNRESTRICTED", "KEY_OLD")
    findings = [{"code": code, "detail": f"detail of {code}"} for code in codes]
    found = key_checks({**said, "findings": findings})
    assert [check.status for check in found] == ["failed", "warning", "warning"]
    assert [check.found for check in found] == [f"detail of {code}" for code in codes]
    assert all(check.remedy for check in found)
    untold = key_checks({**said, "age_days": None, "findings": []})
    assert [check.status for check in untold] == ["ok", "ok", "skipped"]
    assert [check.status for check in key_checks({**said, "source": None})] == ["skipped"]


def test_a_bridge_that_cannot_be_asked_is_told_in_its_own_words(root: Path) -> None:
    (absent,) = bridge_keys(root / "absent.yaml", root)
    assert (absent.name, absent.status) == ("bridge key", "failed")
    assert "absent.yaml: cannot be read" in absent.found
