"""Runs found by tag, and strategies in the registry, in a real MLflow store."""

from __future__ import annotations

import itertools
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError
from lab.tracking import (
    ChildRecord,
    CodeVersion,
    DataInput,
    Provenance,
    RunRecord,
    Sample,
    Tracker,
    register,
    registered,
    search_runs,
    tracking_uri,
    usage,
)

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("registry")]

STARTED = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def record(number: int, family: str = "trend", **changes) -> RunRecord:
    provenance = Provenance(
        code=CodeVersion("0.1.0", "a" * 40, dirty=True, patch="diff\n"),
        strategy_id=f"{family}_btc",
        family=family,
        strategy_version="1.0.0",
        config_hash=f"{number:064d}",
        config_version="1.2.0",
        data=DataInput("bitstamp 1d", "d" * 64, {"bars": 1865}),
        feature_hashes={},
        seed=number,
        engine_difference=changes.pop("engine_difference", 0.0),
        ledger_head="e" * 64,
    )
    known = {
        "name": f"{family}_btc",
        "kind": "tune",
        "started": STARTED + timedelta(hours=number),
        "ended": STARTED + timedelta(hours=number, seconds=9),
        "provenance": provenance,
        "config": "family: trend\n",
        "params": {"lookback_window": 90 + number},
        "metrics": {"sharpe": 1.0 + number, "deflated_sharpe": 0.5},
        "children": (ChildRecord("fold 00", {"lookback_window": 10}, {"test_sharpe": 1.0}),),
    }
    return RunRecord(**{**known, **changes})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    tracker = Tracker(folder)
    for number in range(3):
        tracker.log(record(number))
    tracker.log(record(3, family="carry", params={"threshold": 0.5}))
    tracker.log(record(4, family="wrong", engine_difference=1.0, children=()))
    return folder


def run_id(root: Path, **tags: str) -> str:
    return search_runs(root, tags=tags)["run_id"][0]


def test_runs_come_as_a_table_the_newest_first(root: Path) -> None:
    found = search_runs(root, tags={"family": "trend"})
    assert found["name"].to_list() == ["trend_btc"] * 3
    assert found["metric.sharpe"].to_list() == [3.0, 2.0, 1.0]
    assert found["param.lookback_window"].to_list() == ["92", "91", "90"]
    assert found["started"].to_list() == [STARTED + timedelta(hours=number) for number in (2, 1, 0)]
    assert found["seconds"].to_list() == [9.0] * 3
    assert found["tag.seed"].to_list() == ["2", "1", "0"]


def test_conditions_in_mlflows_words_and_parts_of_runs(root: Path) -> None:
    assert search_runs(root, "metrics.sharpe > 2.5 and params.lookback_window = '92'").height == 1
    assert search_runs(root).height == 5
    everything = search_runs(root, children=True)
    assert everything.height == 9
    assert everything.filter(pl.col("parent").is_not_null())["name"].to_list() == ["fold 00"] * 4
    assert search_runs(root, limit=2).height == 2


def test_what_nothing_fits_is_an_empty_table(root: Path, tmp_path: Path) -> None:
    assert search_runs(root, tags={"family": "none"}).is_empty()
    assert search_runs(tmp_path).columns == search_runs(root, tags={"family": "none"}).columns
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("where", "tags"), [("sharpe is good", {}), ("", {"family": "x' or 1"})])
def test_conditions_that_cannot_be_understood_are_one_sentence(root: Path, where: str, tags: dict) -> None:
    with pytest.raises(ConfigError):
        search_runs(root, where, tags=tags)


def test_versions_count_up_and_an_alias_points_to_one(root: Path) -> None:
    ids = search_runs(root, tags={"family": "trend"})["run_id"].to_list()
    first, second = register(ids[2], root=root), register(ids[1], root=root)
    assert (first.version, second.version) == (1, 2)
    assert register(ids[2], root=root, alias="champion").version == 1
    entries = [entry for entry in registered(root) if entry.name == "trend_btc"]
    assert [(entry.version, entry.aliases) for entry in entries] == [(2, ("candidate",)), (1, ("champion",))]
    assert [entry.run_id for entry in entries] == [ids[1], ids[2]]


def test_the_entry_is_the_runs_artifacts_and_says_what_it_rests_on(root: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    entry = register(run_id(root, family="carry"), root=root)
    shutil.copytree(root, tmp_path / "moved")
    Tracker(tmp_path / "moved").load_run(entry.run_id)
    for place in (root, tmp_path / "moved"):
        version = MlflowClient(tracking_uri=tracking_uri(place)).get_model_version("carry_btc", "1")
        folder = (place / "mlruns" / "artifacts" / entry.run_id / "artifacts").resolve()
        assert version.source == folder.as_uri()
        assert (folder / "config.yaml").read_text() == "family: trend\n"
    assert version.tags["config_hash"] == f"{3:064d}"
    assert version.tags["deflated_sharpe"] == "0.5"
    assert "threshold=0.5" in version.description
    assert not list(root.rglob("*.pkl"))


def test_only_whole_runs_that_finished_are_registered(root: Path) -> None:
    with pytest.raises(ConfigError, match="marked FAILED"):
        register(run_id(root, family="wrong"), root=root)
    parts = search_runs(root, children=True).filter(pl.col("parent").is_not_null())
    with pytest.raises(ConfigError, match="a part of run"):
        register(parts["run_id"][0], root=root)
    for alias in ("no good", "", "latest", "v1", "a" * 256):
        with pytest.raises(ConfigError, match="alias"):
            register(run_id(root, family="trend"), root=root, alias=alias)


def test_the_patch_of_a_dirty_checkout_and_further_files_are_artifacts(root: Path) -> None:
    tracker = Tracker(root)
    run = tracker.load_run(tracker.log(record(9, family="dirty", files={"instance_00.yaml": "a: 1\n"})))
    assert run.artifacts["code.patch"].read_text() == "diff\n"
    assert run.artifacts["instance_00.yaml"].read_text() == "a: 1\n"
    assert run.tags["code_version"].startswith(f"0.1.0+{'a' * 40}.dirty.")
    with pytest.raises(ConfigError, match="no path"):
        record(9, files={"../x": ""})


def test_usage_becomes_mlflows_system_metrics_and_no_column_of_the_table(root: Path) -> None:
    from mlflow import MlflowClient

    samples = tuple(Sample(STARTED + timedelta(seconds=n), 50.0, 99.0, 20.0, 300.0 + n) for n in range(400))
    tracker = Tracker(root)
    made = tracker.log(record(10, family="used").with_usage(samples))
    client = MlflowClient(tracking_uri=tracking_uri(root))
    history = client.get_metric_history(made, "system/process_memory_usage_megabytes")
    assert [point.value for point in history] == [300.0 + n for n in range(400)]
    assert not any("system" in name for name in search_runs(root, tags={"family": "used"}).columns)
    assert set(tracker.load_run(made).metrics) == {"sharpe", "deflated_sharpe"}


def test_a_long_run_keeps_no_more_samples_than_a_short_one() -> None:
    from lab.tracking import Samples

    samples = Samples()
    for number in range(5_000):
        samples.add(Sample(STARTED + timedelta(seconds=number), 0.0, 0.0, 0.0, float(number)))
    kept = [sample.process_megabytes for sample in samples]
    assert 100 <= len(kept) <= 240
    assert kept[0] == 0.0
    assert kept[-1] > 4_900
    assert len({b - a for a, b in itertools.pairwise(kept)}) == 1


def test_usage_measures_this_process() -> None:
    with usage(seconds=0.01) as samples:
        block = bytearray(50_000_000)
    first, *_, last = samples
    assert last.process_megabytes > first.process_megabytes + 40
    assert len(block) == 50_000_000
