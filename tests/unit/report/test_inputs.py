"""Reading a run's folder: what must be there, what may be missing, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import DataError, FrameError
from lab.report import ReportInput


@pytest.fixture
def folder(run_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_folder, tmp_path / "copy"))


def test_result_and_equity_suffice(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name not in ("result.json", "equity.parquet"):
            file.unlink()
    report = ReportInput.read(folder)
    assert report.table("trades") is None
    assert report.certificate is None
    assert report.tables.keys() == {"equity"}


@pytest.mark.parametrize("name", ["result.json", "equity.parquet"])
def test_without_them_there_is_no_report(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        ReportInput.read(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        ReportInput.read(tmp_path / "nowhere")


def test_a_truncated_table_is_named_and_never_read_as_absent(folder: Path) -> None:
    trades = folder / "trades.parquet"
    trades.write_bytes(trades.read_bytes()[:100])
    with pytest.raises(DataError, match=r"trades\.parquet cannot be read"):
        ReportInput.read(folder)


def test_broken_json_is_named(folder: Path) -> None:
    (folder / "result.json").write_text("{")
    with pytest.raises(DataError, match=r"result\.json cannot be read"):
        ReportInput.read(folder)
    (folder / "result.json").write_text("[1]")
    with pytest.raises(DataError, match="holds list; expected a JSON object"):
        ReportInput.read(folder)


def test_a_missing_column_is_named(folder: Path) -> None:
    pl.read_parquet(folder / "folds.parquet").drop("test_sharpe").write_parquet(folder / "folds.parquet")
    with pytest.raises(FrameError, match="columns test_sharpe missing"):
        ReportInput.read(folder)


@pytest.mark.parametrize(("every", "name"), [("1d", "1d"), ("4h", "4h"), ("90m", "90m"), ("1w", "1w")])
def test_timeframe_is_read_from_the_bars_where_it_was_not_recorded(
    tmp_path: Path, every: str, name: str
) -> None:
    ts = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 1), every, time_zone="UTC", eager=True
    )
    equity = pl.DataFrame({"ts": ts, "equity": 1.0}).filter(pl.int_range(pl.len()) != 3)  # one gap
    equity.write_parquet(tmp_path / "equity.parquet")
    (tmp_path / "result.json").write_text("{}")
    assert ReportInput.read(tmp_path).timeframe.name == name


def test_facts_come_from_the_result_then_from_tags(report: ReportInput) -> None:
    assert report.fact("seed") == 3
    assert report.text("code_version") == "1.0+abc"
    assert report.text("run_id") == "a" * 32
    assert report.fact("nothing") is None
    assert report.number("family") is None


def test_a_number_that_was_not_finite_is_absent(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    result["metrics"] |= {"calmar": None}
    result["pbo"] = None
    (folder / "result.json").write_text(json.dumps(result))
    report = ReportInput.read(folder)
    assert "calmar" not in report.metrics
    assert report.number("pbo") is None
