"""Runs to a real MLflow store and back."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from feature_store.atomic import on_fault_point
from feature_store.errors import StoreError
from lab.core.errors import ConfigError, DataError
from lab.tracking import (
    ChildRecord,
    CodeVersion,
    DataInput,
    Provenance,
    RunRecord,
    Tracker,
    tracking_uri,
)

pytestmark = pytest.mark.integration

STARTED = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
TRIALS = pl.DataFrame({"fold": [0, 0, 1], "number": [0, 1, 0], "sharpe": [0.5, float("nan"), -1.0]})


def provenance(**changes):
    known = {
        "code": CodeVersion("0.1.0", "a" * 40, dirty=True),
        "strategy_id": "tsm_btc",
        "family": "time_series_momentum",
        "strategy_version": "1.0.0",
        "config_hash": "c" * 64,
        "config_version": "1.2.0",
        "data": DataInput("bitstamp 1d", "d" * 64, {"markets": ["bitstamp:BTC/USD"], "bars": 1865}),
        "feature_hashes": {"mean@1(column=close,window=20)": "f" * 64},
        "seed": 7,
        "engine_difference": 3e-15,
        "ledger_head": "e" * 64,
    }
    return Provenance(**{**known, **changes})


def record(**changes):
    known = {
        "name": "tsm_btc",
        "kind": "tune",
        "started": STARTED,
        "ended": STARTED + timedelta(seconds=9),
        "provenance": provenance(),
        "config": "family: time_series_momentum\n",
        "params": {"lookback_window": 90, "threshold": 0.1, "sampler": "tpe"},
        "metrics": {"sharpe": 1.25, "payoff": math.inf, "calmar": math.nan},
        "result": {"oos": {"sharpe": 1.25, "calmar": math.nan}, "folds": [1, 2]},
        "tables": {"trials": TRIALS},
        "children": tuple(
            ChildRecord(f"fold {number}", {"lookback_window": 10 * number}, {"test_sharpe": float(number)})
            for number in range(12)
        ),
    }
    return RunRecord(**{**known, **changes})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root with space")


@pytest.fixture(scope="module")
def run_id(root):
    return Tracker(root).log(record())


def test_a_run_reads_back_as_it_was_logged(root, run_id):
    run = Tracker(root).load_run(run_id)
    assert (run.name, run.kind, run.status) == ("tsm_btc", "tune", "FINISHED")
    assert (run.started, run.ended) == (STARTED, STARTED + timedelta(seconds=9))
    assert run.params == {"lookback_window": "90", "threshold": "0.1", "sampler": "tpe"}
    assert run.config == "family: time_series_momentum\n"
    assert_frame_equal(run.table("trials"), TRIALS)
    assert sorted(run.artifacts) == ["config.yaml", "result.json", "trials.parquet"]


def test_numbers_that_are_not_finite_stay_out_of_the_metrics_and_are_null_in_the_result(root, run_id):
    run = Tracker(root).load_run(run_id)
    assert run.metrics == {"sharpe": 1.25}
    assert run.result == {"oos": {"sharpe": 1.25, "calmar": None}, "folds": [1, 2]}


def test_tags_say_what_the_run_depends_on(root, run_id):
    tags = Tracker(root).load_run(run_id).tags
    assert tags["code_version"] == "0.1.0+" + "a" * 40 + ".dirty"
    assert tags["code_dirty"] == "true"
    assert tags["data_hash"] == "d" * 64
    assert tags["ledger_head"] == "e" * 64
    assert tags["seed"] == "7"
    assert float(tags["engine_difference"]) == 3e-15
    assert json.loads(tags["feature_hashes"]) == {"mean@1(column=close,window=20)": "f" * 64}
    assert {"strategy_id", "family", "strategy_version", "config_hash", "config_version"} <= set(tags)


def test_children_come_in_order_below_their_parent(root, run_id):
    tracker = Tracker(root)
    children = [tracker.load_run(child) for child in tracker.load_run(run_id).children]
    assert [child.name for child in children] == [f"fold {number}" for number in range(12)]
    assert [child.metrics["test_sharpe"] for child in children] == [float(number) for number in range(12)]
    assert {child.kind for child in children} == {"tune-part"}
    assert {child.status for child in children} == {"FINISHED"}


def test_a_child_has_the_rows_that_mlflows_client_would_write(root, run_id):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    child = Tracker(root).load_run(run_id).children[7]
    begun, ended = (int(time.timestamp() * 1_000) for time in (STARTED, STARTED + timedelta(seconds=9)))
    client = MlflowClient(tracking_uri=tracking_uri(root))
    tags = {"kind": "tune-part", "mlflow.parentRunId": run_id}
    other = client.create_run(
        client.get_run(run_id).info.experiment_id, start_time=begun + 7, tags=tags, run_name="fold 7"
    ).info.run_id
    client.log_batch(
        other, metrics=[Metric("test_sharpe", 7.0, begun + 7, 0)], params=[Param("lookback_window", "70")]
    )
    client.set_terminated(other, status="FINISHED", end_time=ended)
    rows = []
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for one in (child, other):
            found = [
                (table, tuple(str(value).replace(one, "RUN") for value in row))
                for table in names
                for row in database.execute(f'SELECT * FROM "{table}"')
                if any(one in str(value) for value in row)
            ]
            rows.append(sorted(found))
    client.delete_run(other)
    assert rows[0] == rows[1]
    assert {table for table, _ in rows[0]} == {"runs", "tags", "params", "metrics", "latest_metrics"}


def test_mlflow_itself_sees_inputs_artifacts_and_nesting(root, run_id):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri(root))
    [found] = client.get_run(run_id).inputs.dataset_inputs
    assert found.dataset.digest == "d" * 32
    assert json.loads(found.dataset.profile)["bars"] == 1865
    assert {file.path for file in client.list_artifacts(run_id)} == {
        "config.yaml",
        "result.json",
        "trials.parquet",
    }
    runs = client.search_runs(
        [client.get_experiment_by_name("mnemo").experiment_id], "tags.strategy_id = 'tsm_btc'"
    )
    assert [one.info.run_id for one in runs] == [run_id]


@pytest.mark.parametrize("difference", [2e-9, math.inf, math.nan])
def test_engines_that_disagree_make_a_failed_run(root, difference):
    tracker = Tracker(root)
    run = tracker.load_run(
        tracker.log(record(provenance=provenance(engine_difference=difference), children=()))
    )
    assert run.status == "FAILED"


def test_a_result_marked_failed_makes_a_failed_run_though_equity_agrees(root):
    """What risk permits on the second engine's account can differ where equity does not."""
    tracker = Tracker(root)
    run = tracker.load_run(tracker.log(record(result={"status": "FAILED"}, children=())))
    assert run.status == "FAILED"


@pytest.mark.parametrize("name", ["a%20b", "a?b"])
def test_a_root_that_mlflow_would_take_for_another_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match="rename the folder"):
        Tracker(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "mlruns" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written"):
        Tracker(tmp_path).prepare()


@pytest.mark.parametrize("run_id", ["0" * 32, "", "../../etc/passwd", "x' OR 1=1 --", "latest"])
def test_an_unknown_run_id_is_a_clear_error(root, run_id):
    with pytest.raises(ConfigError, match=r"not found under .*mlruns: expected the run id"):
        Tracker(root).load_run(run_id)


def test_reading_from_an_empty_root_creates_nothing(tmp_path):
    with pytest.raises(ConfigError, match="not found"):
        Tracker(tmp_path).load_run("0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_table_names_those_there_are(root, run_id):
    with pytest.raises(DataError, match=r"no artifact equity\.parquet; it has: config\.yaml, result\.json"):
        Tracker(root).load_run(run_id).table("equity")


def test_a_moved_root_keeps_its_runs_and_logs_beside_them(root, run_id, tmp_path):
    from mlflow import MlflowClient

    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    tracker = Tracker(moved)
    assert tracker.load_run(run_id).table("trials").height == 3
    new = tracker.log(record(children=()))
    artifacts = tracker.load_run(new).artifacts
    assert artifacts["config.yaml"].is_relative_to(moved)
    client = MlflowClient(tracking_uri=tracking_uri(moved))
    for one in (run_id, new):
        assert client.get_run(one).info.artifact_uri.startswith((moved / "mlruns").as_uri())
        assert len(client.list_artifacts(one)) == 3


def test_a_run_that_dies_while_being_logged_never_looks_finished(root):
    def die(operation, path):
        if path.name == "trials.parquet":
            raise KeyboardInterrupt

    on_fault_point(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            Tracker(root).log(record(name="interrupted"))
    finally:
        on_fault_point(None)
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        rows = database.execute("SELECT status FROM runs WHERE name = 'interrupted'").fetchall()
    assert rows == [("RUNNING",)]


def test_a_database_that_is_damaged_is_named_at_once(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"not a database" * 50)
    with pytest.raises(StoreError, match=r"mlflow\.db: runs cannot be read"):
        Tracker(tmp_path).load_run("0" * 32)
    assert (tmp_path / "mlruns" / "mlflow.db").read_bytes() == b"not a database" * 50


def test_records_refuse_naive_times_and_names_that_are_paths():
    with pytest.raises(ConfigError, match="timezone"):
        record(started=datetime(2024, 5, 1))  # noqa: DTZ001
    with pytest.raises(ConfigError, match=r"table '\.\./x'"):
        record(tables={"../x": TRIALS})
