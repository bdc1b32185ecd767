"""On recorded bars of 33 pairs every registered feature is one number, whichever way it is made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.data.importing import import_files
from lab.pipeline.verification import verify_features


@pytest.mark.real_data
@pytest.mark.slow
def test_every_registered_feature_on_recorded_daily_bars(real_data: Path, tmp_path: Path) -> None:
    (verdict,) = import_files(
        [real_data / "binance_spot_1d.parquet"],
        root=tmp_path,
        exchange="binance",
        timeframe="1d",
        arrived=datetime(2024, 1, 1, tzinfo=UTC),
    )
    assert verdict.ok
    rows = verify_features(tmp_path, timeframe="1d")
    assert len(rows) > 60
    assert {row["markets"] for row in rows} == {33}
    assert min(row["bars_checked"] for row in rows) > 1_000
    wrong = {row["feature"]: row["first"] for row in rows if row["first"] or row["max_ulp"]}
    assert wrong == {}
