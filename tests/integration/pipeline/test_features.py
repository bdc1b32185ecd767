"""Features through the commands: built, kept up to date, listed, traced, verified, refused clearly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lab.cli import main
from lab.core.errors import DataError
from lab.core.frames import TS
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.features import compute, definitions, mean
from lab.pipeline.features import build, feature_files, features_as_of, lineage
from lab.pipeline.verification import feature_examples, verify_panel
from lab.strategies import load

START = datetime(2024, 1, 1, tzinfo=UTC)
MARKETS = ["binance:BTC/USDT", "binance:ETH/USDT"]
CONFIG = """
family: time_series_momentum
strategy_id: probe
version: 1.0.0
mode: backtest
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}, {exchange: binance, symbol: ETH/USDT}]
parameters: {lookback_window: 20, vol_window: 10}
"""


def bars(first: int, last: int, *, factor: float = 1.0, markets: list[str] = MARKETS) -> pl.DataFrame:
    days = np.arange(first, last)
    parts = []
    for place, market in enumerate(markets):
        close = factor * 100.0 * np.exp(np.sin(days / (5.0 + place)) / 4.0)
        ts = pl.Series([START + timedelta(days=int(day)) for day in days], dtype=TS)
        prices = {"open": close, "high": close * 1.02, "low": close * 0.98, "close": close}
        parts.append(pl.DataFrame({"ts": ts, "market": market, **prices, "volume": 1e6 + days}))
    return pl.concat(parts)


def append(root: Path, rows: pl.DataFrame, day: int) -> None:
    Catalog(root).append(rows, timeframe="1d", known_at=START + timedelta(days=day), inputs=[f"{day:064d}"])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "probe.yaml"
    path.write_text(CONFIG)
    append(tmp_path, bars(0, 100), 100)
    return path


def expected(config: Path, root: Path) -> Any:
    instance = load(config)
    panel = panel_from_bars(
        Catalog(root).bars(instance.markets, "1d"), timeframe="1d", markets=instance.markets
    )
    return panel, instance.strategy.features(instance.params)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_builds_after_new_late_and_revised_bars_compute_only_their_windows(
    config: Path, tmp_path: Path
) -> None:
    assert build(config, root=tmp_path).windows == 100 * 2 * 2
    assert build(config, root=tmp_path).windows == 0
    append(tmp_path, bars(100, 101), 101)
    assert build(config, root=tmp_path).windows == 2 * 2
    append(tmp_path, bars(50, 51, factor=1.01, markets=MARKETS[:1]), 102)
    done = build(config, root=tmp_path)
    panel, features = expected(config, tmp_path)
    assert done.windows == sum(feature.lookback for feature in features)
    assert done.first == "2024-02-20T00:00:00Z"
    assert feature_files(tmp_path).verify(panel, features).mismatches == 0
    read = feature_files(tmp_path).read(panel, features)
    for feature in features:
        assert read[feature].tobytes() == compute(panel, [feature])[feature].tobytes()


def test_full_build_writes_the_same(config: Path, tmp_path: Path) -> None:
    build(config, root=tmp_path)
    append(tmp_path, bars(100, 110), 110)
    build(config, root=tmp_path)
    store = feature_files(tmp_path).store
    (name,) = store.datasets()
    before = store.scan(name).collect().sort("market", "ts")
    assert build(config, root=tmp_path, full=True).windows == 110 * 2 * 2
    assert feature_files(tmp_path).store.scan(name).collect().sort("market", "ts").equals(before)


def test_features_as_of_are_those_of_the_bars_known_then(config: Path, tmp_path: Path) -> None:
    append(tmp_path, bars(90, 105, factor=1.1), 105)
    panel, features = expected(config, tmp_path)
    then = features_as_of(config, root=tmp_path, instant=START + timedelta(days=104))
    now = features_as_of(config, root=tmp_path, instant=START + timedelta(days=106))
    assert then["ts"].max() == START + timedelta(days=99)
    assert now["ts"].max() == START + timedelta(days=104)
    returns = str(features[0])
    same = then.join(now, on=["ts", "market"], suffix="_now").filter(
        pl.col("ts") < START + timedelta(days=90)
    )
    assert same[returns].equals(same[f"{returns}_now"])
    last = then.filter(pl.col("ts") == START + timedelta(days=95))[returns].to_list()
    assert last != now.filter(pl.col("ts") == START + timedelta(days=95))[returns].to_list()
    assert len(panel) == 105


def test_lineage_reaches_the_received_files(config: Path, tmp_path: Path) -> None:
    build(config, root=tmp_path)
    append(tmp_path, bars(100, 101), 101)
    build(config, root=tmp_path)
    (made,) = lineage(tmp_path, "volatility")
    assert made["code_state"] == "current"
    assert "lab.features.kernels.changes.log_changes" in made["functions"]
    assert [part["month"] for part in made["partitions"]] == [
        "2024-01",
        "2024-02",
        "2024-03",
        "2024-04",
        "tail",
    ]
    assert made["partitions"][0]["received"] == [f"{100:064d}"]
    assert f"{101:064d}" in made["partitions"][3]["received"]
    assert lineage(tmp_path, made["feature"], timeframe="1d") == [made]


def test_commands_print_documents(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ("--root", str(tmp_path), "--json")
    code, out, _ = run("features", "build", str(config), *root, capsys=capsys)
    assert (code, json.loads(out)["windows"]) == (0, 400)
    code, out, _ = run("features", "list", *root, capsys=capsys)
    listed = json.loads(out)
    assert (code, len(listed)) == (0, 2)
    assert listed[0].keys() == {
        "feature", "timeframe", "lookback", "dataset", "rows", "markets", "first", "last", "code",
    }  # fmt: skip
    assert (listed[0]["rows"], listed[0]["last"]) == (200, "2024-04-09T00:00Z")
    code, out, _ = run("features", "lineage", listed[1]["feature"], *root, capsys=capsys)
    assert (code, len(json.loads(out)[0]["partitions"])) == (0, 4)
    code, out, err = run("features", "verify", "--only", "volatility", "--bars", "80", *root, capsys=capsys)
    assert (code, err) == (0, "")
    assert {row["max_ulp"] for row in json.loads(out)} == {0}


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("lineage", "volatilty"), 2, "feature 'volatilty' is not stored; nearest: volatility"),
        (("lineage", "mean", "--timeframe", "7x"), 2, "timeframe '7x' not understood"),
        (("verify", "--only", "nonesuch"), 2, "no feature is named like 'nonesuch'"),
        (("verify", "--market", "binance:BTC/USDX"), 3, "nearest: binance:BTC/USDT"),
        (("verify", "--timeframe", "4h"), 3, "no 4h bars are stored"),
        (("build", "absent.yaml"), 2, "absent.yaml"),
    ],
)
def test_mistakes_are_one_line_with_a_code(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    expected: str,
) -> None:
    build(config, root=tmp_path)
    found, out, err = run("features", *arguments, "--root", str(tmp_path), capsys=capsys)
    assert (found, out) == (code, "")
    assert expected in err
    assert "Traceback" not in err


def test_nothing_stored_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("features", "lineage", "mean", "--root", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "nothing is stored; run 'mnemo features build CONFIG'" in err
    code, _, err = run("features", "verify", "--root", str(tmp_path), capsys=capsys)
    assert code == 3
    assert "import some with 'mnemo data import'" in err


def test_too_little_history_names_feature_market_and_bars(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("lookback_window: 20", "lookback_window: 120"))
    message = (
        r"strategy probe: feature simple_return@.*window=120\) of binance:BTC/USDT 1d needs 121 bars, "
        r"100 available; fetch or import earlier bars"
    )
    with pytest.raises(DataError, match=message):
        build(config, root=tmp_path)


def test_bad_bars_are_named_as_the_reason(config: Path, tmp_path: Path) -> None:
    broken = bars(0, 100, markets=MARKETS[1:]).with_columns(high=pl.col("low") * 0.5)
    append(tmp_path, broken.head(95), 103)
    with pytest.raises(DataError, match=r"ETH/USDT 1d needs 21 bars, 5 available \(95 bars are BAD"):
        build(config, root=tmp_path)


def test_every_feature_of_the_library_has_an_example() -> None:
    day = Timeframe.parse("1d")
    of_the_library = {
        name for name, made in definitions().items() if made.evaluate.__module__.startswith("lab.features")
    }
    assert of_the_library <= {feature.name for feature in feature_examples(day, MARKETS)}


def test_verification_fails_for_a_feature_that_depends_on_the_start(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.features import definition as registry

    panel, _ = expected(config, tmp_path)
    assert [row["max_ulp"] for row in verify_panel(panel, [mean("close", 20)])] == [0]
    definition = definitions()["mean"]

    def summed_from_the_start(feature: Any, given: Any) -> Any:
        sums = np.cumsum(given.columns[0], axis=0)
        values = np.full(sums.shape, np.nan)
        values[20:] = (sums[20:] - sums[:-20]) / 20.0
        return values

    monkeypatch.setitem(registry._registry, "mean", replace(definition, evaluate=summed_from_the_start))
    (row,) = verify_panel(panel, [mean("close", 20)])
    assert row["tail_mismatches"] > 0
    assert row["max_ulp"] > 0
    assert "binance:BTC/USDT at 2024-01-2" in row["first"]
