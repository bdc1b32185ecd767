"""What a run depended on and is not the same any more: bars, settings, code, libraries, processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import DataError
from lab.core.frames import BAR_COLUMNS
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.checking import content_hash
from lab.pipeline.environment import environment
from lab.pipeline.inputs import Inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.pipeline.subjects import subject_of
from lab.tracking import TrackedRun, code_version

__all__ = ["circumstances"]

_KEYS: Final = ("market", "ts")


def circumstances(
    run: TrackedRun, recorded: Mapping[str, Any], inputs: Inputs | PortfolioInputs, root: Path
) -> list[str]:
    """Return a sentence for everything that `run` depended on and that is another now."""
    subject, found = subject_of(inputs), []
    if subject.data_hash != recorded["data_hash"]:
        found.append(_data(run, recorded, inputs, root))
    if subject.config_hash != recorded["config_hash"]:
        found += _config(recorded.get("config"), subject.config)
    found += _features(recorded.get("features", {}), subject.features)
    version = str(code_version())
    if run.tags.get("code_version") != version:
        found.append(f"code: {version} now, {run.tags.get('code_version')} recorded")
    for name, value in environment().items():
        before = recorded.get("environment", {}).get(name)
        if before != value:
            found.append(f"{name}: {value} now, {before} recorded")
    return found


def _data(run: TrackedRun, recorded: Mapping[str, Any], inputs: Inputs | PortfolioInputs, root: Path) -> str:
    """Name the first bar that differs, from what was known when the run began, else from the bars it kept."""
    for timeframe, now in _frames(inputs):
        earlier = [bars for bars in _earlier(run, timeframe, now, root) if bars.height]
        changed = [rows for bars in earlier if (rows := _changed_bars(bars, now)).height]
        if changed:
            # Where some bars came to this root later than the run, the other source knows better.
            return f"data: {_first_bar(min(changed, key=len), timeframe)}"
    hashes = f"{subject_of(inputs).data_hash[:12]} now, {recorded['data_hash'][:12]} recorded"
    return f"data: {hashes}; a bar before those that the run kept, a series or a quality setting was changed"


def _frames(inputs: Inputs | PortfolioInputs) -> Iterator[tuple[Timeframe, pl.DataFrame]]:
    yield inputs.panel.timeframe, inputs.marked
    if isinstance(inputs, PortfolioInputs):
        yield from ((one.panel.timeframe, one.marked) for one in inputs.instances)


def _earlier(run: TrackedRun, timeframe: Timeframe, now: pl.DataFrame, root: Path) -> Iterator[pl.DataFrame]:
    """Yield the bars as they were: as known when the run began, and those among its artifacts."""
    first, last = now["ts"].min(), now["ts"].max()
    markets = now["market"].unique().sort().to_list()
    try:
        span = (first, last + timeframe.duration)  # type: ignore[operator]
        yield Catalog(root).bars(markets, timeframe, *span, as_of=run.started)  # type: ignore[arg-type]
    except DataError:
        pass  # The bars came here later than the run: copied, or imported again.
    if "bars.parquet" in run.artifacts and run.result["timeframe"] == str(timeframe):
        yield run.table("bars")


def _changed_bars(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Return rows that differ, with the earlier figures beside the present ones."""
    part = now
    if "quality" not in before.columns:  # bars that were received, from the run's first return on
        received = pl.col("quality").ne("BAD") & pl.col("reason").ne("filled")
        part = now.filter(received & (pl.col("ts") >= before["ts"].min()))
    if content_hash(before) == content_hash(part):
        return now.clear()
    joined = before.select(*_KEYS, *BAR_COLUMNS).join(
        part.select(*_KEYS, *BAR_COLUMNS), on=_KEYS, how="full", coalesce=True, suffix="_now"
    )
    same = [pl.col(name).eq_missing(pl.col(f"{name}_now")) for name in BAR_COLUMNS]
    return joined.filter(~pl.all_horizontal(same)).sort("ts", "market")


def _first_bar(changed: pl.DataFrame, timeframe: Timeframe) -> str:
    row = changed.row(0, named=True)
    columns = [name for name in BAR_COLUMNS if row[name] != row[f"{name}_now"]]
    said = ", ".join(f"{name} {row[f'{name}_now']} now, {row[name]} recorded" for name in columns)
    count = f"{changed.height} {timeframe} bar{'s differ' if changed.height > 1 else ' differs'}"
    return f"{count}; {'first ' * (changed.height > 1)}{row['market']} {row['ts']:%Y-%m-%d %H:%M}Z: {said}"


def _config(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Name the keys of the kept configuration that are not as they were when it was run."""
    changed = "the kept configuration is not the one that was run"
    old, new = _flat(before or {}), _flat(now)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)] if before else []
    if not keys:
        return [f"config: {changed}; its text was changed"]
    return [f"config: {key} {new.get(key)} now, {old.get(key)} recorded; {changed}" for key in keys]


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    """Return nested values by dotted key."""
    if isinstance(values, Mapping) and values:
        parts = values.items()
    elif isinstance(values, (list, tuple)) and any(isinstance(value, Mapping) for value in values):
        parts = enumerate(values)  # type: ignore[assignment]
    else:
        return {name: values}
    return {
        key: inner
        for part, value in parts
        for key, inner in _flat(value, f"{name}.{part}" if name else str(part)).items()
    }


def _features(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"feature {name}: its definition is not the one that was run ({now[name][:12]} now, "
        f"{before[name][:12]} recorded)"
        for name in now
        if name in before and before[name] != now[name]
    ]
