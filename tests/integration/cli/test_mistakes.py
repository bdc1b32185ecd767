"""A user's mistakes: one clear line each, the documented exit code, nothing half-written, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lab.data.synthetic import synthetic_market

pytestmark = pytest.mark.integration

STRATEGY = """\
family: time_series_momentum
strategy_id: mine
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}]
parameters: {lookback_window: 90, vol_window: 20}
search: {trials: 2, train_bars: 100, test_bars: 30}
"""


def mnemo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def bars(count: int) -> pl.DataFrame:
    frame = synthetic_market(markets=1, bars=count, timeframe="1d", seed=3)
    return frame.with_columns(market=pl.lit("synthetic:AAA/USDT")).filter(pl.col("close").is_not_null())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(STRATEGY)
    return tmp_path


def strategy(root: Path, old: str = "", new: str = "") -> str:
    path = root / "mine.yaml"
    path.write_text(STRATEGY.replace(old, new) if old else STRATEGY)
    return str(path)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (["--start", "2020-01-02", "--end", "2020-01-01"], "not before --end"),
        (["--start", "0001-01-01T00:00:00+14:00"], "expected a year from"),
        (["--end", "9999-12-31"], "expected a year from"),
    ],
)
def test_a_window_that_cannot_be(root: Path, window: list[str], words: str) -> None:
    refused(mnemo("backtest", strategy(root), "--root", str(root), *window), 2, words)


@pytest.mark.parametrize("command", ["backtest", "tune", "parity"])
def test_missing_strategy_file(root: Path, command: str) -> None:
    refused(mnemo(command, str(root / "no.yaml"), "--root", str(root)), 2, "no.yaml", "no such file")


def test_yaml_typo_names_file_line_and_key(root: Path) -> None:
    done = mnemo("backtest", strategy(root, "lookback_window", "lookback_windw"), "--root", str(root))
    refused(done, 2, "mine.yaml:6", "lookback_windw", "did you mean lookback_window")


def test_yaml_with_a_tag_is_not_executed(root: Path) -> None:
    done = mnemo(
        "backtest", strategy(root, "1.0.0", "!!python/object/apply:os.getcwd []"), "--root", str(root)
    )
    refused(done, 2, "mine.yaml:3")


def test_unknown_market_is_data_that_is_not_there(root: Path) -> None:
    refused(
        mnemo("backtest", strategy(root), "--root", str(root)), 3, "synthetic:AAA/USDT", "mnemo data import"
    )


def test_too_little_history_says_needed_and_available(root: Path) -> None:
    bars(60).write_parquet(root / "bars.parquet")
    done = mnemo("data", "import", str(root / "bars.parquet"), "--timeframe", "1d", "--root", str(root))
    assert done.returncode == 0, done.stderr
    refused(mnemo("backtest", strategy(root), "--root", str(root)), 3, "mine", "needs 91 bars", "available")


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"a,b\n1,2\n"])
def test_foreign_file_is_refused_and_nothing_is_stored(root: Path, content: bytes) -> None:
    name = "bars.parquet" if content.startswith(b"PAR1") else "bars.csv"
    (root / name).write_bytes(content)
    done = mnemo(
        "data",
        "import",
        str(root / name),
        "--exchange",
        "binance",
        "--timeframe",
        "1d",
        "--root",
        str(root),
        "--json",
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert name in done.stderr
    assert not (root / "data" / "bars").exists() or not list((root / "data" / "bars").rglob("*.parquet"))


def test_truncated_parquet_is_refused_and_the_others_go_on(root: Path) -> None:
    bars(50).write_parquet(root / "good.parquet")
    whole = (root / "good.parquet").read_bytes()
    (root / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    files = [str(root / "torn.parquet"), str(root / "good.parquet")]
    done = mnemo("data", "import", *files, "--timeframe", "1d", "--root", str(root))
    assert done.returncode == 3
    assert "torn.parquet" in done.stderr
    assert "Traceback" not in done.stderr
    listed = mnemo("data", "list", "--root", str(root), "--json")
    assert "synthetic:AAA/USDT" in listed.stdout


def test_unknown_option_is_a_usage_error(root: Path) -> None:
    refused(mnemo("backtest", strategy(root), "--sede", "3"), 2, "--sede")


def test_root_that_is_a_file(root: Path) -> None:
    refused(mnemo("data", "list", "--root", strategy(root)), 2, "expected a folder")


def test_unknown_run(root: Path) -> None:
    refused(mnemo("report", "0" * 32, "--root", str(root)), 2, "not found")


def test_strategy_id_that_is_a_path(root: Path) -> None:
    refused(mnemo("backtest", strategy(root, "mine", "../mine"), "--root", str(root)), 2, "strategy_id")
