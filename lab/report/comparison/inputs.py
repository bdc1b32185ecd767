"""What a comparison is made of: the folders of several runs, and their returns on common periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError
from lab.core.timeframe import Timeframe
from lab.report.inputs import ReportInput
from lab.report.tables import account

__all__ = ["ComparisonInput"]

_DAY: Final = Timeframe.parse("1d")
_FEWEST: Final = 2
_SHARES_BEYOND: Final = 1e-9
# Names that tables have for columns and rows of their own.
_TAKEN: Final = frozenset({"ts", "year", "name", "combined", "buy and hold"})


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonInput:
    """Several runs side by side.

    Attributes
    ----------
    names : tuple of str
        One per run, all different: the strategy's id, with digits of the run's id where that is not enough.
    reports : tuple of ReportInput
    period : Timeframe
        A day, or the longest bar of the runs if that is longer: what returns are compounded to.
    returns : polars.DataFrame
        ``ts`` and a column per name: simple returns of the periods in which every run has a bar.
    benchmarks : polars.DataFrame
        The same of each run's buy and hold; null where it recorded none.
    shares : tuple of float
        Of each run in the combined portfolio; their sum is at most 1, the rest is cash.
    """

    names: tuple[str, ...]
    reports: tuple[ReportInput, ...]
    period: Timeframe
    returns: pl.DataFrame
    benchmarks: pl.DataFrame
    shares: tuple[float, ...]

    @classmethod
    def read(
        cls,
        folders: Sequence[Path | str],
        runs: Sequence[Mapping[str, Any]] = (),
        shares: Sequence[float] = (),
    ) -> ComparisonInput:
        """Read the folders of at least two runs.

        Parameters
        ----------
        folders : sequence of path
            Artifacts of each run.
        runs : sequence of mapping, optional
            What each run's record says beside its files.
        shares : sequence of float, optional
            Shares in the combined portfolio; default: equal ones.

        Raises
        ------
        ConfigError
            If there are fewer than two runs, shares do not fit, or the runs have no two periods in common.
        DataError, FrameError
            If a folder is not that of a run.
        """
        if len(folders) < _FEWEST:
            raise ConfigError(f"{len(folders)} run given; a comparison needs at least {_FEWEST}")
        records = list(runs) or [{} for _ in folders]
        reports = tuple(ReportInput.read(folder, run) for folder, run in zip(folders, records, strict=True))
        names = _names(reports)
        period = max([_DAY, *(report.timeframe for report in reports)])
        accounts = [account(report) for report in reports]
        own = [
            _compounded(frame, "return", name, period) for frame, name in zip(accounts, names, strict=True)
        ]
        returns = _common(own, reports, names)
        held = [
            _compounded(frame, "benchmark_return", name, period)
            for frame, name in zip(accounts, names, strict=True)
        ]
        benchmarks = returns.select("ts")
        for frame in held:
            benchmarks = benchmarks.join(frame, on="ts", how="left", maintain_order="left")
        return cls(names, reports, period, returns, benchmarks, _shares(shares, len(names)))

    @property
    def families(self) -> tuple[str, ...]:
        """The family of each run."""
        return tuple(report.text("family") or "unknown" for report in self.reports)

    @property
    def periods_per_year(self) -> float:
        """Periods in a year, by which figures are annualised."""
        return self.period.periods_per_year


def _names(reports: Sequence[ReportInput]) -> tuple[str, ...]:
    plain = [report.text("strategy_id") or "unnamed" for report in reports]
    found: list[str] = []
    for number, (own, report) in enumerate(zip(plain, reports, strict=True), start=1):
        name = own if plain.count(own) == 1 else f"{own} {report.text('run_id')[:6] or number}"
        found.append(f"{name} ({number})" if name in found or name in _TAKEN else name)
    return tuple(found)


def _compounded(frame: pl.DataFrame, column: str, name: str, period: Timeframe) -> pl.DataFrame:
    """Return ``ts`` and the compounded returns of each period under `name`; null where all are."""
    known = frame.select("ts", pl.col(column).alias("_value"))
    numbers = pl.Series("_number", period.numbers(known["ts"].dt.replace_time_zone(None).to_numpy()))
    grouped = (
        known.with_columns(numbers)
        .group_by("_number")
        .agg(
            ts=pl.col("ts").first(),
            value=pl.when(pl.col("_value").count() > 0).then((1.0 + pl.col("_value")).product() - 1.0),
        )
        .sort("_number")
    )
    opens = pl.Series("ts", period.open_times(grouped["_number"].to_numpy())).dt.replace_time_zone("UTC")
    return grouped.select(opens.cast(pl.Datetime("us", "UTC")), pl.col("value").alias(name))


def _common(
    frames: Sequence[pl.DataFrame], reports: Sequence[ReportInput], names: Sequence[str]
) -> pl.DataFrame:
    joined = frames[0]
    for frame in frames[1:]:
        joined = joined.join(frame, on="ts", how="inner", maintain_order="left")
    if joined.height < _FEWEST:
        ends = [report.tables["equity"]["ts"] for report in reports]
        spans = [
            f"{name} has {ts[0]:%Y-%m-%d} to {ts[-1]:%Y-%m-%d}" for name, ts in zip(names, ends, strict=True)
        ]
        raise ConfigError(f"the runs have no time in common: {'; '.join(spans)}. Compare runs that overlap")
    return joined


def _shares(given: Sequence[float], count: int) -> tuple[float, ...]:
    shares = tuple(float(share) for share in given) or (1.0 / count,) * count
    if len(shares) != count:
        raise ConfigError(f"{len(shares)} shares for {count} runs; give one per run, in the same order")
    if any(share < 0 for share in shares) or not 0 < sum(shares) <= 1 + _SHARES_BEYOND:
        raise ConfigError(
            f"shares {', '.join(f'{share:g}' for share in shares)}: expected fractions of at most 1 in sum"
        )
    return shares
