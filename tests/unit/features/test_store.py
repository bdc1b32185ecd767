from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feature_store import FeatureStore
from lab.core.errors import DataError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute, definitions, ema, mean, total, volatility
from lab.features.code import code_digest
from lab.features.store import FeatureFiles

HOUR = Timeframe.parse("1h")
FEATURES = (mean("close", 20), volatility(10), total("volume", 24), ema("close", 2))


def make_panel(rows: int = 1_000, markets: int = 3) -> Panel:
    generator = np.random.default_rng(8)
    bar = np.arange(400_000, 400_000 + rows)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, (rows, markets)), axis=0))
    close[generator.random(close.shape) < 0.03] = np.nan
    fields = {"close": close, "volume": generator.lognormal(5.0, 1.0, close.shape)}
    return Panel(HOUR, bar, HOUR.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def revised(panel: Panel, row: int, column: int | None = None, field: str | None = None) -> Panel:
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for name, values in fields.items():
        if field in (None, name):
            values[row, slice(None) if column is None else column] = 123.0
    return Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)


def files_in(folder: Path) -> FeatureFiles:
    return FeatureFiles(FeatureStore(folder))


def stored_rows(files: FeatureFiles) -> list[pl.DataFrame]:
    return [files.store.scan(name).collect().sort("market", "ts") for name in files.store.datasets()]


def partitions(files: FeatureFiles) -> list[tuple[str, str, tuple[str, ...]]]:
    parts = [files.store.manifest(name).partitions for name in files.store.datasets()]
    return [(part.month, part.sha256, part.inputs) for each in parts for part in each]


def compacted(files: FeatureFiles) -> FeatureFiles:
    from lab.features.table import bars_digest

    for name in files.store.datasets():
        files.store.compact(name, inputs=bars_digest)
    return files


def test_incremental_update_leaves_the_files_of_a_full_rebuild(tmp_path: Path) -> None:
    panel = make_panel()
    whole, parts = files_in(tmp_path / "whole"), files_in(tmp_path / "parts")
    whole.rebuild(panel, FEATURES)
    start = 0
    for stop in (300, 301, 302, 650, 960, 961, 1_000):
        parts.update(panel.rows(start, stop), FEATURES)
        start = stop
    assert parts.verify(panel, FEATURES).mismatches == 0
    assert parts.verify(panel, FEATURES).rows == sum((1_000 - f.lookback + 1) * 3 for f in FEATURES)
    assert stored_rows(parts)[0].equals(stored_rows(whole)[0])
    assert partitions(compacted(parts)) == partitions(whole)
    assert len(partitions(whole)) == 2


def test_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    panel = make_panel(400)
    whole, parts = files_in(tmp_path / "whole"), files_in(tmp_path / "parts")
    whole.rebuild(panel, FEATURES)
    for start, stop in ((200, 250), (100, 200), (240, 400), (0, 101)):
        parts.update(panel.rows(start, stop), FEATURES)
    assert stored_rows(parts)[0].equals(stored_rows(whole)[0])


def test_one_new_bar_computes_one_window_per_feature_and_market(tmp_path: Path) -> None:
    panel = make_panel()
    files = files_in(tmp_path)
    files.update(panel.rows(0, 990), FEATURES)
    done = files.update(panel.rows(990, 991), FEATURES)
    assert (done.windows, done.rows) == (len(FEATURES) * 3, 3)
    done = files.update(panel.rows(500, 992), FEATURES)
    assert (done.windows, done.rows) == (len(FEATURES) * 3, 3)
    assert done.first == done.last == f"{np.datetime_as_string(panel.ts[991], unit='s')}Z"


def test_revised_bar_recomputes_exactly_the_windows_that_hold_it(tmp_path: Path) -> None:
    panel = make_panel()
    files, fresh = files_in(tmp_path / "store"), files_in(tmp_path / "fresh")
    files.rebuild(panel, FEATURES)
    changed = revised(panel, 900, column=1, field="close")
    stale = files.verify(changed, FEATURES)
    assert stale.mismatches > 0
    assert stale.first is not None
    assert "x:M1/USDT at 2015-09-2" in stale.first
    with pytest.raises(DataError, match=r"another close than the bar has now \(1 bars differ"):
        files.read(changed, FEATURES)
    done = files.update(changed.rows(880, 950), FEATURES)
    reads_close = [feature for feature in FEATURES if feature.name != "total"]
    assert done.windows == sum(feature.lookback for feature in reads_close)
    assert done.rows == max(feature.lookback for feature in reads_close)
    fresh.rebuild(changed, FEATURES)
    assert partitions(files) == partitions(fresh)


def test_revision_of_the_warm_up_and_of_bars_before_the_panel_is_complete(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = files_in(tmp_path)
    files.update(panel, FEATURES)
    for row in (3, 150, 199, 0):
        panel = revised(panel, row)
        files.update(panel.rows(row, row + 1), FEATURES)
        assert files.verify(panel, FEATURES).mismatches == 0


def test_equal_update_changes_no_byte(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = files_in(tmp_path)
    files.update(panel.rows(0, 190), FEATURES)
    files.update(panel, FEATURES)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert files.update(panel, FEATURES).windows == 0
    assert files.update(panel.rows(50, 60), FEATURES).windows == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_manifest_does_not_grow_with_bars_and_revisions(tmp_path: Path) -> None:
    panel = make_panel(400)
    files = files_in(tmp_path)
    files.update(panel.rows(0, 300), FEATURES)
    (manifest,) = tmp_path.rglob("manifest.json")
    size = manifest.stat().st_size
    for row in range(300, 320):
        files.update(panel.rows(row, row + 1), FEATURES)
    for row in range(100, 110):
        files.update(revised(panel, row).rows(row, row + 1), FEATURES)
    assert manifest.stat().st_size <= size + 4


def test_markets_may_come_later_and_apart(tmp_path: Path) -> None:
    panel = make_panel(200)
    together, apart = files_in(tmp_path / "together"), files_in(tmp_path / "apart")
    together.update(panel, FEATURES)
    for market in reversed(panel.markets):
        apart.update(panel.select([market]), FEATURES)
    assert partitions(apart) == partitions(together)


def test_read_gives_what_was_computed(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = files_in(tmp_path)
    files.update(panel, FEATURES)
    other_order = panel.rows(50, 200).select(panel.markets[::-1])
    read = files.read(other_order, FEATURES)
    for feature in FEATURES:
        expected = compute(panel, [feature])[feature][50:, ::-1]
        assert np.array_equal(read[feature], expected, equal_nan=True)
    rows = files.scan(mean("close", 20), HOUR, [panel.markets[1]]).collect()
    assert rows.columns == ["ts", "market", "value"]
    assert rows["market"].unique().to_list() == [panel.markets[1]]


def test_feature_that_is_not_stored_is_refused_by_name(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = files_in(tmp_path)
    with pytest.raises(DataError, match=r"window=20\) on 1h is not stored; run 'mnemo features build"):
        files.read(panel, [mean("close", 20)])
    files.update(panel.rows(0, 150), FEATURES)
    expected = r"x:M0/USDT at 2015-08-25 22:00Z: no row is stored for 145 bars"
    with pytest.raises(DataError, match=expected):
        files.read(panel, [mean("close", 20)])


def test_feature_stored_by_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.features import windows

    panel = make_panel(100)
    files = files_in(tmp_path)
    feature = mean("close", 20)
    files.update(panel, [feature])
    monkeypatch.setattr(windows, "_least", lambda feature, least=1: 3)
    code_digest.cache_clear()
    try:
        with pytest.raises(DataError, match="was stored by other code than the present"):
            files.read(panel, [feature])
    finally:
        monkeypatch.undo()
        code_digest.cache_clear()


def test_gap_between_store_and_bars_is_refused(tmp_path: Path) -> None:
    panel = make_panel(200)
    files = files_in(tmp_path)
    files.update(panel.rows(50, 100), FEATURES)
    with pytest.raises(DataError, match=r"bars from 2015-08-23 20:00Z to 2015-08-23 21:00Z are needed"):
        files.update(panel.rows(101, 200), FEATURES)
    with pytest.raises(DataError, match="are needed to continue, or rebuild"):
        files.update(panel.rows(0, 49), FEATURES)
    files.update(panel.rows(100, 200), FEATURES)
    assert files.verify(panel.rows(50, 200), FEATURES).mismatches == 0


def test_panel_without_a_column_or_a_bar_is_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    with pytest.raises(DataError, match="read column 'high'; the panel has close, volume"):
        files.update(make_panel(50), [mean("high", 5)])
    with pytest.raises(DataError, match="no bars given"):
        files.update(make_panel(50).rows(0, 0), FEATURES)


def test_window_that_is_not_known_as_a_whole_has_no_value(tmp_path: Path) -> None:
    panel = make_panel(60)
    files = files_in(tmp_path)
    files.update(panel.rows(0, 19), [mean("close", 20)])
    assert files.scan(mean("close", 20), HOUR).collect()["value"].is_nan().all()
    files.update(panel.rows(19, 60), [mean("close", 20)])
    assert files.verify(panel, [mean("close", 20)]).mismatches == 0


def test_blocks_do_not_change_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.features import change

    panel = make_panel(300)
    whole, blocks = files_in(tmp_path / "whole"), files_in(tmp_path / "blocks")
    whole.rebuild(panel, FEATURES)
    monkeypatch.setattr(change, "BLOCK_CELLS", 60)
    blocks.rebuild(panel, FEATURES)
    assert partitions(whole) == partitions(blocks)
    panel = revised(revised(panel, 20), 200)
    assert blocks.update(panel, FEATURES).windows == sum(2 * 3 * f.lookback for f in FEATURES)
    assert blocks.verify(panel, FEATURES).mismatches == 0


def test_lineage_names_feature_code_and_bars(tmp_path: Path) -> None:
    panel = make_panel()
    files = files_in(tmp_path)
    feature = mean("close", 20)
    with pytest.raises(DataError, match="is not stored"):
        files.lineage(feature, HOUR)
    files.update(panel.rows(0, 990), FEATURES)
    before = files.lineage(feature, HOUR)
    changed = revised(panel, 700)
    files.update(changed, FEATURES)
    after = files.lineage(feature, HOUR)
    assert before["feature"] == feature.key
    assert before["code"] == code_digest(definitions()["mean"])
    assert (before["reads"], before["lookback"]) == (["close"], 20)
    assert [part["month"] for part in after["partitions"]] == ["2015-08", "2015-09", "tail"]
    first, second = before["partitions"], after["partitions"]
    assert first[0]["inputs"] == second[0]["inputs"]
    assert first[1]["inputs"] != second[1]["inputs"]
    assert all(len(part["inputs"]) == 1 for part in second)
