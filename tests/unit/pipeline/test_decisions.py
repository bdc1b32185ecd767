"""What is kept of the last decisions is what was decided, with its reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.core.panel import Panel
from lab.data.synthetic import synthetic_market
from lab.pipeline.decisions import recent_decisions
from lab.report.blocks import decisions
from lab.strategies import StrategyInstance, load

TEXT = """\
family: time_series_momentum
strategy_id: mine
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}, {exchange: synthetic, symbol: BBB/USDT}]
parameters: {lookback_window: 40, vol_window: 20}
"""


@pytest.fixture
def instance(tmp_path: Path) -> StrategyInstance:
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT)
    return load(file)


@pytest.fixture(scope="module")
def panel() -> Panel:
    frame = synthetic_market(seed=6, markets=2, bars=200, timeframe="1d").drop_nulls()
    names = dict(
        zip(sorted(frame["market"].unique()), ("synthetic:AAA/USDT", "synthetic:BBB/USDT"), strict=True)
    )
    return Panel.from_frame(frame.with_columns(pl.col("market").replace(names)))


@pytest.mark.parametrize("bars", [1, 30, 500])
def test_kept_weights_are_the_decided_ones_to_the_bit(
    instance: StrategyInstance, panel: Panel, bars: int
) -> None:
    kept = recent_decisions(instance, panel, bars)
    decided = panel.to_frame(instance.decide(panel), "weight")
    both = kept.join(decided, on=["ts", "market"], suffix="_decided")
    assert both.height == kept.height == 2 * min(bars, len(panel))
    assert kept["ts"].max() == decided["ts"].max()
    same = both["weight"].to_numpy(), both["weight_decided"].to_numpy()
    np.testing.assert_array_equal(*same)
    assert set(kept["reasons"].tail(2)) <= {"HELD", "FLAT,FILTERED"}


def test_the_report_shows_the_last_of_them(instance: StrategyInstance, panel: Panel) -> None:
    kept = recent_decisions(instance, panel)
    shown = decisions(kept).markup
    last = kept.filter(pl.col("ts") == kept["ts"].max())
    assert shown.count("<tr>") == 1 + last.height
    for weight in last["weight"]:
        assert f'data-v="{weight!r}"' in shown
    hostile = last.with_columns(market=pl.lit("<script>"))
    assert "<script>" not in decisions(hostile).markup
    assert "was not recorded" in decisions(None).markup
