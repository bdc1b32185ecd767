"""A run's tables as files: the same bits through CSV, and returns as QuantStats reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from lab.cli import app
from lab.core.errors import ConfigError, DataError
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from lab.pipeline import backtest, export_run
from lab.pipeline.exporting import quantstats_returns
from lab.tracking import Tracker
from lab.tracking.pins import pinned_by_runs

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("exporting")]

STRATEGY = """\
family: time_series_momentum
strategy_id: exported
version: 1.0.0
timeframe: {timeframe}
markets: [{{exchange: synthetic, symbol: AAA/USDT}}]
parameters: {{lookback_window: 30, vol_window: 10}}
risk: {{max_position_pct: 0.5}}
"""


@pytest.fixture(scope="module", params=["1d", "1h"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("exporting")
    bars = synthetic_market(seed=5, markets=1, bars=400, timeframe=request.param)
    Catalog(root).append(bars, timeframe=request.param, known_at=datetime(2026, 1, 1, tzinfo=UTC))
    (root / "exported.yaml").write_text(STRATEGY.format(timeframe=request.param))
    return root, Tracker(root).load_run(backtest(root / "exported.yaml", root=root).run_id)


def test_csv_and_parquet_read_back_to_the_same_bits(run, tmp_path: Path) -> None:
    root, logged = run
    written = export_run(logged.run_id, root=root, folder=tmp_path)
    for name in ("equity", "weights", "trades", "orders", "returns"):
        kept = logged.table(name)
        assert written[name] == [f"{name}.csv", f"{name}.parquet"]
        assert_frame_equal(pl.read_parquet(tmp_path / f"{name}.parquet"), kept, check_exact=True)
        text = pl.read_csv(tmp_path / f"{name}.csv", schema_overrides=dict.fromkeys(_times(kept), pl.String))
        back = text.with_columns(
            pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
            for column in _times(kept)
        )
        assert_frame_equal(back.cast(kept.schema), kept, check_exact=True)


def _times(frame: pl.DataFrame) -> list[str]:
    return [name for name, kind in frame.schema.items() if kind == pl.Datetime]


def test_quantstats_gets_the_runs_own_figures(run, tmp_path: Path) -> None:
    quantstats = pytest.importorskip("quantstats")
    root, logged = run
    export_run(logged.run_id, root=root, folder=tmp_path, formats=("csv",))
    series = pd.read_csv(tmp_path / "quantstats_returns.csv", index_col=0, parse_dates=True).squeeze()
    own = quantstats_returns(logged)
    np.testing.assert_array_equal(series.to_numpy(), own.to_numpy())
    assert (series.index == own.index).all()
    assert series.index.tz is None
    metrics = logged.result["metrics"]
    assert quantstats.stats.comp(series) == pytest.approx(metrics["total_return"], rel=1e-12)
    assert quantstats.stats.max_drawdown(series) == pytest.approx(metrics["max_drawdown"], rel=1e-12)


def test_the_command_writes_below_reports_or_where_it_is_told(run, tmp_path: Path) -> None:
    root, logged = run
    answer = CliRunner().invoke(app, ["export", logged.run_id, "--root", str(root), "--json"])
    assert answer.exit_code == 0, answer.output
    assert (root / "reports" / logged.run_id / "equity.csv").exists()
    assert "quantstats" in json.loads(answer.stdout)["files"]
    call = ["export", logged.run_id, "--root", str(root), "--to", str(tmp_path / "here"), "--format", "csv"]
    assert CliRunner().invoke(app, call).exit_code == 0
    assert not list((tmp_path / "here").glob("*.parquet"))


def test_housekeeping_learns_what_the_run_needs(run) -> None:
    root, logged = run
    [pin] = pinned_by_runs(root)
    assert (pin.market, pin.timeframe) == ("synthetic:AAA/USDT", logged.result["timeframe"])
    assert pin.first == logged.table("bars")["ts"][0]
    assert logged.run_id in pin.by


def test_what_cannot_be_exported_is_a_sentence(run, tmp_path: Path) -> None:
    root, logged = run
    with pytest.raises(ConfigError, match="format 'xlsx' unknown"):
        export_run(logged.run_id, root=root, folder=tmp_path, formats=("xlsx",))
    with pytest.raises(ConfigError, match="not found"):
        export_run("0" * 32, root=root, folder=tmp_path)
    (kept := logged.artifacts["equity.parquet"]).rename(kept.with_suffix(".gone"))
    try:
        with pytest.raises(DataError, match="recorded no equity"):
            export_run(logged.run_id, root=root, folder=tmp_path)
    finally:
        kept.with_suffix(".gone").rename(kept)
    assert list(tmp_path.iterdir()) == []
