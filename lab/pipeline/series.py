"""Stored series as columns of a panel, and a hash of what was read."""

from __future__ import annotations

from pathlib import Path

from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.data.joining import read_series
from lab.strategies import SeriesConfig
from lab.strategies.series import require_stored, series_fields, series_subjects

__all__ = ["with_series"]


def with_series(panel: Panel, configs: tuple[SeriesConfig, ...], *, root: Path) -> tuple[Panel, list[str]]:
    """Return `panel` with the columns that `configs` name, and a hash of what was read for each.

    Parameters
    ----------
    panel : Panel
        Bars.
    configs : tuple of SeriesConfig
        From the instance's file.
    root : pathlib.Path
        Folder with the stored series.

    Returns
    -------
    Panel
        See :func:`lab.strategies.series.series_fields`.
    list of str
        SHA-256 of the joined columns, in the order of `configs`.

    Raises
    ------
    DataError
        If a series is not stored, lacks a column, or has values for none of the markets.
    """
    hashes = []
    for config in configs:
        stored = read_series(root, config.name)
        require_stored(config, stored.columns)
        subjects = series_subjects(config, panel.markets, stored["subject"].unique().to_list())
        fields = series_fields(panel, config, stored, subjects)
        panel = panel.with_fields(fields)
        hashes.append(digest({str(name): digest(values.tobytes()) for name, values in fields.items()}))
    return panel, hashes
