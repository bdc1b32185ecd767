from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lab.core.errors import DataError, FrameError
from lab.core.frames import BAR_COLUMNS, TS
from lab.data.panels import panel_from_bars, received_bars
from lab.data.quality import default_settings, mark

START = datetime(2024, 1, 1, tzinfo=UTC)
NAN = np.nan


def bars(closes, market="x:A/B", volumes=None):
    """One bar a day; None leaves a day out."""
    rows = [
        (START + timedelta(days=i), market, c, c * 1.1, c * 0.9, c, 5.0 if volumes is None else volumes[i])
        for i, c in enumerate(closes)
        if c is not None
    ]
    schema = {"ts": TS, "market": pl.String, **dict.fromkeys(BAR_COLUMNS, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def panel(frame, settings=None, markets=("x:A/B",)):
    return panel_from_bars(mark(frame, "1d", settings), timeframe="1d", markets=markets, settings=settings)


def policies(**changed):
    settings = default_settings()
    return settings.model_copy(update={"policies": settings.policies.model_copy(update=changed)})


def column(panel_, name):
    return np.array(panel_[name])[:, 0].tolist()


def test_one_missing_bar_is_filled_for_features_and_not_received():
    seen = panel(bars([1.0, 2.0, None, 4.0]))
    assert column(seen, "close") == [1.0, 2.0, 2.0, 4.0]
    assert column(seen, "high")[2] == column(seen, "open")[2] == 2.0
    assert column(seen, "volume") == [5.0, 5.0, 0.0, 5.0]
    np.testing.assert_array_equal(column(seen, "received_close"), [1.0, 2.0, NAN, 4.0])
    np.testing.assert_array_equal(column(seen, "received_volume"), [5.0, 5.0, NAN, 5.0])


def test_a_longer_gap_is_missing():
    seen = panel(bars([1.0, None, None, 4.0]))
    np.testing.assert_array_equal(column(seen, "close"), [1.0, NAN, NAN, 4.0])


def test_a_bad_bar_is_nothing_to_features_and_fills():
    frame = bars([1.0, 2.0, 3.0]).with_columns(low=pl.when(pl.col("close") == 2.0).then(2.5).otherwise("low"))
    seen = panel(frame)
    for name in ("close", "volume", "received_close", "received_volume"):
        assert np.isnan(column(seen, name)[1])
        assert not np.isnan(column(seen, name)[0])


def test_nothing_is_filled_after_a_bad_bar():
    frame = bars([1.0, 2.0, None, 4.0]).with_columns(
        low=pl.when(pl.col("close") == 2.0).then(2.5).otherwise("low")
    )
    np.testing.assert_array_equal(column(panel(frame), "close"), [1.0, NAN, NAN, 4.0])


@pytest.mark.parametrize(
    ("policy", "close", "volume"),
    [
        ("use", [1.0, 2.0, 3.0], [5.0, 0.0, 5.0]),
        ("last_good", [1.0, 1.0, 3.0], [5.0, 0.0, 5.0]),
        ("pause", [1.0, NAN, 3.0], [5.0, NAN, 5.0]),
    ],
)
def test_a_policy_changes_what_features_see_and_never_what_was_received(policy, close, volume):
    seen = panel(bars([1.0, 2.0, 3.0], volumes=[5.0, 0.0, 5.0]), policies(zero_volume=policy))
    np.testing.assert_array_equal(column(seen, "close"), close)
    np.testing.assert_array_equal(column(seen, "volume"), volume)
    assert column(seen, "received_close") == [1.0, 2.0, 3.0]


def test_last_good_reaches_back_only_so_far():
    volumes = [5.0] + [0.0] * 5
    seen = panel(bars([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], volumes=volumes), policies(zero_volume="last_good"))
    assert default_settings().carry_bars == 3
    np.testing.assert_array_equal(column(seen, "close"), [1.0, 1.0, 1.0, 1.0, NAN, NAN])


def test_a_known_outage_is_not_filled_over_and_what_came_during_it_is_doubted():
    outage = {"exchange": "x", "start": START + timedelta(days=1), "end": START + timedelta(days=3)}
    settings = type(default_settings())(**{**default_settings().model_dump(), "outages": (outage,)})
    marked = mark(bars([1.0, 2.0, None, 4.0, None, 6.0]), "1d", settings)
    assert marked["reason"].to_list() == ["", "outage", "", "filled", ""]
    elsewhere = mark(bars([1.0, 2.0, None, 4.0], market="xy:A/B"), "1d", settings)
    assert elsewhere["reason"].to_list() == ["", "", "filled", ""]


def test_markets_come_in_the_order_asked_for_and_absent_ones_are_nan():
    frame = pl.concat([bars([1.0, 2.0]), bars([3.0, 4.0], market="x:C/D"), bars([9.0], market="x:E/F")])
    seen = panel(frame, markets=("x:C/D", "x:Q/R", "x:A/B"))
    assert seen.markets == ("x:C/D", "x:Q/R", "x:A/B")
    np.testing.assert_array_equal(np.array(seen["close"]), [[3.0, NAN, 1.0], [4.0, NAN, 2.0]])


def test_bars_off_the_grid_are_left_out():
    stray = bars([1.5]).with_columns(pl.col("ts").dt.offset_by("7h"))
    assert column(panel(pl.concat([bars([1.0, 2.0]), stray])), "close") == [1.0, 2.0]


def test_what_cannot_be_a_panel_is_refused():
    with pytest.raises(DataError, match="no 1d bars of x:Q/R"):
        panel(bars([1.0]), markets=("x:Q/R",))
    with pytest.raises(FrameError, match="each market once"):
        panel(bars([1.0]), markets=("x:A/B", "x:A/B"))
    with pytest.raises(FrameError, match="marked by"):
        panel_from_bars(bars([1.0]), timeframe="1d", markets=["x:A/B"])
    marked = mark(bars([1.0]), "1d")
    with pytest.raises(FrameError, match="share their market and ts"):
        panel_from_bars(pl.concat([marked, marked]), timeframe="1d", markets=["x:A/B"])


def test_tradeable_bars_are_those_received_and_not_bad():
    frame = bars([1.0, 2.0, None, 4.0, 5.0]).with_columns(
        low=pl.when(pl.col("close") == 5.0).then(9.0).otherwise("low")
    )
    tradeable = received_bars(mark(frame, "1d"))
    assert tradeable["close"].to_list() == [1.0, 2.0, 4.0]
    assert tradeable.columns == ["ts", "market", *BAR_COLUMNS]
