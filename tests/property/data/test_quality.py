"""Marks equal the row loop's; they and the panels depend on a bounded stretch of bars only."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.frames import BAR_COLUMNS, TS
from lab.data.panels import panel_from_bars, received_bars
from lab.data.quality import default_settings, mark
from lab.data.synthetic import dirty, synthetic_market
from tests.oracle import quality as oracle

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
SMALL = default_settings().model_copy(update={"atr_bars": 5, "volume_bars": 8})

price = st.one_of(st.floats(1.0, 1.2), st.sampled_from([0.0, -1.0, None, math.nan, math.inf, 1.0, 1.1, 50.0]))
volume = st.one_of(st.floats(0.0, 9.0), st.sampled_from([0.0, -1.0, None, math.nan, 0.001, 1000.0]))


@st.composite
def bars(draw):
    """One market: clean walk with faults sprinkled in, gaps, and stamps off the grid."""
    rows = []
    for number in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 9)) == 0:
            continue
        late = draw(st.integers(0, 14)) == 0
        if draw(st.integers(0, 3)):
            mid = draw(st.floats(1.0, 1.02))
            values = [mid, mid * 1.01, mid * 0.99, mid, draw(st.floats(5.0, 6.0))]
        else:
            values = [draw(price) for _ in range(4)] + [draw(volume)]
        rows.append((number, not late, *values))
    return rows


def frame_of(rows, market="x:A/B"):
    minutes = [0 if row[1] else 7 for row in rows]
    return pl.DataFrame(
        {
            "ts": [
                START + row[0] * HOUR + timedelta(minutes=m) for row, m in zip(rows, minutes, strict=True)
            ],
            "market": [market] * len(rows),
            **{name: [row[i + 2] for row in rows] for i, name in enumerate(BAR_COLUMNS)},
        },
        schema={"ts": TS, "market": pl.String, **dict.fromkeys(BAR_COLUMNS, pl.Float64)},
    )


@given(bars(), bars())
@settings(max_examples=150)
def test_marks_equal_the_row_loop(first, second):
    both = pl.concat([frame_of(first, "x:A/B"), frame_of(second, "x:C/D")])
    marked = mark(both, "1h", SMALL)
    for market, rows in (("x:A/B", first), ("x:C/D", second)):
        expected = oracle.reasons(rows, atr_bars=5, volume_bars=8)
        own = marked.filter(pl.col("market") == market)
        received = own.filter(pl.col("reason") != "filled")
        assert [set(r.split(",")) - {""} for r in received["reason"]] == expected
        bad = {"price", "ohlc", "negative_volume", "off_grid"}
        words = ["BAD" if why & bad else "QUESTIONABLE" if why else "GOOD" for why in expected]
        assert received["quality"].to_list() == words
        added = own.filter(pl.col("reason") == "filled")
        times = [((ts - START) // HOUR, close) for ts, close in added.select("ts", "close").iter_rows()]
        assert times == oracle.filled(rows, expected)
        assert (added["volume"] == 0.0).all()


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(max_examples=25)
def test_marks_and_panels_of_a_tail_equal_those_of_all_bars(seed, keep):
    received = dirty(synthetic_market(seed=seed, markets=3, bars=220, outages=3), seed=seed, share=0.02)
    markets = received["market"].unique().sort().to_list()
    policies = {"spike": "last_good", "zero_volume": "pause", "low_volume": "last_good"}
    settings_ = default_settings().model_copy(
        update={
            "policies": default_settings().policies.model_copy(update=policies),
            # Windows so tight and thresholds so low that every bar of context decides some mark.
            "atr_bars": 6,
            "volume_bars": 9,
            "low_volume_share": 0.9,
            "spike_atr_multiple": 1.0,
        }
    )
    last = received["ts"].max()
    start = last - timedelta(days=keep - 1)
    tail = received.filter(pl.col("ts") >= start - settings_.context_bars * timedelta(days=1))
    whole, part = mark(received, "1d", settings_), mark(tail, "1d", settings_)
    assert whole.filter(pl.col("ts") >= start).equals(part.filter(pl.col("ts") >= start))
    panels = [panel_from_bars(m, timeframe="1d", markets=markets, settings=settings_) for m in (whole, part)]
    for name in panels[0].fields:
        a, b = (np.array(panel.tail(keep)[name]) for panel in panels)
        assert a.tobytes() == b.tobytes(), name


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_order_of_rows_does_not_matter_beyond_repeats(seed):
    received = dirty(synthetic_market(seed=seed, markets=2, bars=60), seed=seed, share=0.03)
    once = received.unique(subset=["ts", "market"], keep="last", maintain_order=True)
    shuffled = once.sample(fraction=1.0, shuffle=True, seed=seed)
    assert mark(shuffled, "1d").equals(mark(received, "1d"))


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_every_panel_number_is_one_of_the_bars(seed):
    """The feature view copies: nothing in it was computed."""
    received = dirty(synthetic_market(seed=seed, markets=2, bars=80), seed=seed, share=0.05)
    marked = mark(received, "1d")
    panel = panel_from_bars(marked, timeframe="1d", markets=marked["market"].unique().to_list())
    prices = {x for name in BAR_COLUMNS for x in marked[name].to_list()}
    for name in BAR_COLUMNS:
        assert {x for x in panel[name].ravel().tolist() if not math.isnan(x)} <= prices
    tradeable = received_bars(marked)
    known = int((~np.isnan(np.array(panel["received_close"]))).sum())
    assert known == tradeable.height
