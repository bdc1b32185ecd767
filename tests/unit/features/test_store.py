from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_store import FeatureStore
from lab.core.errors import DataError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import definitions, ema, mean, total, volatility
from lab.features.code import code_digest, reached_functions
from lab.features.definition import Bars, Definition
from lab.features.store import FeatureFiles, dataset_name

HOUR = Timeframe.parse("1h")
FEATURES = (mean("close", 20), volatility(10), total("volume", 24), ema("close", 2))


def make_panel(rows: int = 1_000, markets: int = 3) -> Panel:
    generator = np.random.default_rng(8)
    bar = np.arange(400_000, 400_000 + rows)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, (rows, markets)), axis=0))
    close[generator.random(close.shape) < 0.03] = np.nan
    fields = {"close": close, "volume": generator.lognormal(5.0, 1.0, close.shape)}
    return Panel(HOUR, bar, HOUR.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def revised(panel: Panel, row: int) -> Panel:
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for values in fields.values():
        values[row] *= 1.25
    return Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)


def stored_bytes(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def test_incremental_update_leaves_the_files_of_a_full_rebuild(tmp_path: Path) -> None:
    panel = make_panel()
    whole = FeatureFiles(FeatureStore(tmp_path / "whole"))
    whole.rebuild(panel, FEATURES)
    parts = FeatureFiles(FeatureStore(tmp_path / "parts"))
    for stop in (300, 301, 302, 650, 1_000):
        parts.update(panel.rows(max(stop - 400, 0), stop), FEATURES)
    assert stored_bytes(tmp_path / "parts") == stored_bytes(tmp_path / "whole")
    assert len(stored_bytes(tmp_path / "whole")) == 2 * len(FEATURES)
    for feature in FEATURES:
        assert parts.verify(panel, feature).mismatches == 0


def test_revised_bar_reaches_every_window_that_holds_it(tmp_path: Path) -> None:
    panel = make_panel()
    files = FeatureFiles(FeatureStore(tmp_path / "store"))
    files.rebuild(panel, FEATURES)
    changed = revised(panel, 900)
    for feature in FEATURES:
        stale = files.verify(changed, feature)
        assert 0 < stale.mismatches <= feature.lookback * 3
        assert stale.first is not None
        assert stale.first.endswith(f"{np.datetime_as_string(panel.ts[900], unit='m')}Z")
    files.update(changed.rows(900 - 30, 1_000), FEATURES)
    fresh = FeatureFiles(FeatureStore(tmp_path / "fresh"))
    fresh.rebuild(changed, FEATURES)
    assert stored_bytes(tmp_path / "store") == stored_bytes(tmp_path / "fresh")


def test_equal_update_changes_no_byte(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = FeatureFiles(FeatureStore(tmp_path))
    files.update(panel, FEATURES)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    files.update(panel, FEATURES)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_markets_may_come_later_and_apart(tmp_path: Path) -> None:
    panel = make_panel(200)
    together, apart = (FeatureFiles(FeatureStore(tmp_path / name)) for name in ("together", "apart"))
    together.update(panel, FEATURES)
    for market in reversed(panel.markets):
        apart.update(panel.select([market]), FEATURES)
    assert stored_bytes(tmp_path / "together") == stored_bytes(tmp_path / "apart")


def test_read_gives_what_was_computed_and_nothing_where_nothing_is_stored(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = FeatureFiles(FeatureStore(tmp_path))
    feature = mean("close", 20)
    assert np.isnan(files.read(panel, [feature])[feature]).all()
    files.update(panel.rows(0, 150), [feature])
    values = files.read(panel.select(panel.markets[::-1]), [feature])[feature]
    assert np.isnan(values[150:]).all()
    assert np.isnan(values[:19]).all()
    assert np.isfinite(values[19:150]).mean() > 0.9
    assert files.verify(panel.rows(0, 150).select(panel.markets[::-1]), feature).mismatches == 0


def test_gap_between_store_and_bars_is_refused(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = FeatureFiles(FeatureStore(tmp_path))
    files.update(panel.rows(0, 100), [mean("close", 20)])
    with pytest.raises(DataError, match=r"bars from 2015-08-23 01:00Z on are needed to continue"):
        files.update(panel.rows(82, 200), [mean("close", 20)])
    files.update(panel.rows(81, 200), [mean("close", 20)])
    assert files.verify(panel, mean("close", 20)).mismatches == 0


def test_bars_that_end_before_the_store_are_refused(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = FeatureFiles(FeatureStore(tmp_path))
    files.update(panel, [mean("close", 20)])
    with pytest.raises(DataError, match="give all later bars too, or rebuild"):
        files.update(panel.rows(0, 199), [mean("close", 20)])


def test_too_few_bars_for_one_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="19 bars found, 20 needed"):
        FeatureFiles(FeatureStore(tmp_path)).update(make_panel(19), [mean("close", 20)])


def test_lineage_names_feature_code_and_bars(tmp_path: Path) -> None:
    panel = make_panel()
    files = FeatureFiles(FeatureStore(tmp_path))
    feature = mean("close", 20)
    with pytest.raises(DataError, match="is not stored"):
        files.lineage(feature, HOUR)
    files.update(panel, [feature])
    before = files.lineage(feature, HOUR)
    files.update(revised(panel, 999), [feature])
    after = files.lineage(feature, HOUR)
    assert before["feature"] == feature.key
    assert before["code"] == code_digest(definitions()["mean"])
    first, last = (
        (old["inputs"], new["inputs"])
        for old, new in zip(before["partitions"], after["partitions"], strict=True)
    )
    assert first[0] == first[1]
    assert last[1][: len(last[0])] == last[0]
    assert len(last[1]) == len(last[0]) + 1


def test_key_holds_parameters_version_timeframe_and_code() -> None:
    names = {
        dataset_name(feature, timeframe)
        for feature in (*FEATURES, mean("close", 21), mean("close", 20, min_valid=0.5))
        for timeframe in (HOUR, Timeframe.parse("1d"))
    }
    assert len(names) == 12
    assert dataset_name(mean("close", 20), HOUR, ["x:A/USDT"]) == dataset_name(mean("close", 20), HOUR)


def test_code_digest_reaches_kernels_and_their_helpers() -> None:
    reached = reached_functions(definitions()["volatility"])
    assert "lab.features.kernels.changes.log_changes" in reached
    assert "lab.features.kernels.moments._merge" in reached
    assert "lab.features.definition.least_valid" in reached


def test_code_digest_sees_meaning_not_layout() -> None:
    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        return bars.columns[0] * 2.0

    first = _digest_of(plain)

    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        """Say the same with words."""
        # and a comment
        return (bars.columns[0]
                * 2.0)  # fmt: skip

    second = _digest_of(plain)

    def plain(feature, bars: Bars):  # type: ignore[no-untyped-def]
        return bars.columns[0] * 2.5

    assert first == second
    assert _digest_of(plain) != first


def _digest_of(evaluate: object) -> str:
    return code_digest(
        Definition("probe", "1", lambda _: ("close",), lambda _: 1, evaluate)  # type: ignore[arg-type]
    )


def test_code_digest_sees_constants_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.features import windows

    before = code_digest(definitions()["ema"])
    monkeypatch.setattr(windows, "MEMORY_SPANS", 12)
    code_digest.cache_clear()
    assert code_digest(definitions()["ema"]) != before
    monkeypatch.undo()
    code_digest.cache_clear()
    assert code_digest(definitions()["ema"]) == before
