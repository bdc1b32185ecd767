"""Features on disk: built from stored bars, listed, traced back to the files they came from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store import FeatureStore, StoreError, StoreLockedError
from feature_store.atomic import exclusive
from lab.core.errors import ConfigError, DataError, InsufficientHistoryError, LockedError
from lab.core.feature import Feature
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.features import compute, definitions
from lab.features.code import code_digest, reached_functions
from lab.features.store import FeatureFiles, Update
from lab.strategies import StrategyInstance, load

__all__ = ["build", "feature_files", "features_as_of", "lineage", "stored_features"]

_FOLDER: Final = ("data", "features")


def feature_files(root: Path) -> FeatureFiles:
    """Return the stored features under `root`."""
    return FeatureFiles(FeatureStore(root.joinpath(*_FOLDER)))


def build(config: StrategyInstance | Path | str, *, root: Path, full: bool = False) -> Update:
    """Bring the stored features of an instance up to its stored bars.

    Only months of bars whose files changed since the last build are read, with the bars before them that
    windows need; in them, exactly the windows with a new, late or revised bar are computed.

    Parameters
    ----------
    config : StrategyInstance or path
        The instance, or its file.
    root : pathlib.Path
        Folder that holds ``data/``.
    full : bool
        Write everything anew.

    Raises
    ------
    ConfigError
        If the file is wrong.
    UnknownMarketError, InsufficientHistoryError
        If a market has no stored bars, or fewer than its features need.
    """
    instance = config if isinstance(config, StrategyInstance) else load(config)
    features = instance.strategy.features(instance.params)
    catalog, files = Catalog(root), feature_files(root)
    try:
        with exclusive(root.joinpath(*_FOLDER)):
            source = _source(catalog, instance)
            table = None if full else files.table(features, instance.timeframe, instance.markets)
            since = None if table is None else _changed_since(table.metadata.get("source"), source)
            panel = _panel(catalog, instance, features, since)
            if full:
                return files.rebuild(panel, features, source=source)
            return files.update(panel, features, source=source)
    except StoreLockedError as error:
        raise LockedError(str(error)) from error
    except StoreError as error:
        raise DataError(f"{error}\n(run 'mnemo features build CONFIG --full' to write it anew)") from error


def features_as_of(config: StrategyInstance | Path | str, *, root: Path, instant: datetime) -> pl.DataFrame:
    """Return the features of an instance as they would have been computed at `instant`.

    They are computed from the bars that were known then: later bars are not there, revised ones are as they
    were. Since a value depends on its window of bars alone, this is what the store held or would have held.

    Returns
    -------
    polars.DataFrame
        ``ts, market`` and a column per feature.
    """
    instance = config if isinstance(config, StrategyInstance) else load(config)
    features = instance.strategy.features(instance.params)
    catalog = Catalog(root)
    marked = catalog.bars(instance.markets, instance.timeframe, as_of=instant)
    panel = panel_from_bars(
        marked, timeframe=instance.timeframe, markets=instance.markets, settings=catalog.settings
    )
    computed = compute(panel, features)
    parts = [computed.to_frame(computed[feature], str(feature)) for feature in features]
    return pl.concat([parts[0], *(part.drop("ts", "market") for part in parts[1:])], how="horizontal")


def stored_features(root: Path) -> list[dict[str, Any]]:
    """Return a row per stored feature: name, timeframe, lookback, rows, range, markets, state of its code."""
    files = feature_files(root)
    rows = []
    for entry in files.stored():
        spans = files.store.scan(entry["dataset"], columns=["market", "ts"]).select(
            rows=pl.len(),
            markets=pl.col("market").n_unique(),
            first=pl.col("ts").min().dt.strftime("%Y-%m-%dT%H:%MZ"),
            last=pl.col("ts").max().dt.strftime("%Y-%m-%dT%H:%MZ"),
        )
        span = spans.collect().row(0, named=True)
        keys = ("feature", "timeframe", "lookback", "dataset")
        rows.append({**{key: entry[key] for key in keys}, **span, "code": _state(entry)})
    return sorted(rows, key=lambda row: (row["timeframe"], row["feature"], row["dataset"]))


def lineage(root: Path, name: str, *, timeframe: str | None = None) -> list[dict[str, Any]]:
    """Return what stored features were made from, down to the received files.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``data/``.
    name : str
        Of the definition, or the whole key that ``mnemo features list`` prints.
    timeframe : str, optional
        Only this one.

    Returns
    -------
    list of dict
        Per stored feature: definition, parameters, columns read, hash of the code and the functions in it,
        files of bars, and per month the file's checksum, the hash of the bars in it (``inputs``) and the
        hashes of the received files that those bars came from (``received``).

    Raises
    ------
    ConfigError
        If no such feature is stored; the message has the nearest names.
    """
    files, catalog = feature_files(root), Catalog(root)
    stored = files.stored()
    grid = None if timeframe is None else str(Timeframe.parse(timeframe))
    found = [
        entry
        for entry in stored
        if name in (entry["feature"], entry["name"]) and grid in (None, entry["timeframe"])
    ]
    if not found:
        raise ConfigError(_unknown(name, grid, stored))
    traced = []
    for entry in found:
        made = files.origin(entry["dataset"], entry["feature"])
        received = _received(catalog, made.get("source") or {})
        for part in made["partitions"]:
            part["received"] = received.get(part["month"], [])
        definition = definitions().get(entry["name"])
        reached = [] if definition is None else list(reached_functions(definition))
        traced.append({**made, "code_state": _state(entry), "functions": reached})
    return traced


def _unknown(name: str, grid: str | None, stored: list[dict[str, Any]]) -> str:
    if not stored:
        return f"feature {name!r}: nothing is stored; run 'mnemo features build CONFIG'"
    names = sorted({entry["name"] for entry in stored} | {entry["feature"] for entry in stored})
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
    where = "" if grid is None else f" on {grid}"
    return f"feature {name!r} is not stored{where}; nearest: {', '.join(near)} (see 'mnemo features list')"


def _state(entry: dict[str, Any]) -> str:
    """Say whether the stored rows are those of the present code."""
    definition = definitions().get(entry["name"])
    if definition is None:
        return "no longer defined"
    feature = Feature.of(entry["name"], entry["version"], lookback=entry["lookback"], **entry["parameters"])
    bound = definition if definition.bind is None else definition.bind(feature)
    return "current" if code_digest(bound) == entry["code"] else "outdated"


def _source(catalog: Catalog, instance: StrategyInstance) -> dict[str, Any]:
    """Return the files that bars are read from, by dataset and month, and the rules that mark them."""
    venues = sorted({Market.parse(market).exchange for market in instance.markets})
    names = [f"{venue}/{instance.timeframe}" for venue in venues]
    found = {name: catalog.store.manifest(name) for name in names}
    bars = {
        name: {part.month: part.sha256 for part in manifest.partitions}
        for name, manifest in found.items()
        if manifest is not None
    }
    tails = {name: _tail_digest(catalog, name) for name in bars}
    quality = digest(catalog.settings.model_dump(mode="json"))
    return {"bars": bars, "tails": tails, "quality": quality, "markets": list(instance.markets)}


def _tail_digest(catalog: Catalog, name: str) -> str | None:
    rows = catalog.store.tail(name)
    return None if rows is None else digest(rows.write_ipc(None).getvalue())


def _changed_since(old: Any, new: dict[str, Any]) -> datetime | None:
    """Return the start of the first month whose bars changed; None to read everything.

    A time after all bars when nothing changed at all.
    """
    keys = ("quality", "markets")
    if not old or any(old.get(key) != new[key] for key in keys) or old["bars"].keys() != new["bars"].keys():
        return None
    months = set()
    for name, parts in new["bars"].items():
        before = old["bars"][name]
        months |= {month for month in parts.keys() | before.keys() if parts.get(month) != before.get(month)}
        if old["tails"].get(name) != new["tails"][name]:
            months.add(max(parts))
    if not months:
        months.add(max(month for parts in new["bars"].values() for month in parts))
    year, month = min(months).split("-")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def _panel(
    catalog: Catalog, instance: StrategyInstance, features: Iterable[Feature], since: datetime | None
) -> Panel:
    """Return the panel from shortly before `since` on; all bars for None, and then history is checked."""
    settings, grid = catalog.settings, instance.timeframe
    # A changed bar changes the mark of the bar before it, and a carried price reaches a few bars on.
    margin = timedelta(0) if since is None else 2 * grid.duration
    before = margin + (settings.carry_bars + 1) * grid.duration
    start = None if since is None else since - before
    marked = catalog.bars(instance.markets, grid, start)
    if marked.is_empty() and since is not None:
        return _panel(catalog, instance, features, None)
    panel = panel_from_bars(marked, timeframe=grid, markets=instance.markets, settings=settings)
    if since is None:
        _require_history(panel, marked, features, instance.strategy_id)
        return panel
    first = max(grid.number(since - margin) - int(panel.bar[0]), 0)
    return panel.rows(min(first, len(panel) - 1), len(panel))


def _require_history(panel: Panel, marked: pl.DataFrame, features: Iterable[Feature], name: str) -> None:
    longest = max(features, key=lambda feature: feature.lookback)
    bad = dict(marked.filter(pl.col("quality") == "BAD")["market"].value_counts().iter_rows())
    for column, market in enumerate(panel.markets):
        there = (panel["received_close"][:, column] == panel["received_close"][:, column]).nonzero()[0]
        available = len(panel) - int(there[0]) if len(there) else 0
        if available < longest.lookback:
            broken = bad.get(market, 0)
            also = f" ({broken} bars are BAD and do not count; see 'mnemo data check')" if broken else ""
            raise InsufficientHistoryError(
                f"strategy {name}: feature {longest} of {market} {panel.timeframe} needs {longest.lookback} "
                f"bars, {available} available{also}; fetch or import earlier bars, or shorten the windows"
            )


def _received(catalog: Catalog, source: dict[str, Any]) -> dict[str, list[str]]:
    """Return, per month, the hashes of the received files that the stored bars came from."""
    found: dict[str, list[str]] = {}
    for dataset in source.get("bars", {}):
        if catalog.store.manifest(dataset) is not None:
            for part in catalog.store.lineage(dataset):
                found.setdefault(part["month"], []).extend(part["inputs"])
    return found
