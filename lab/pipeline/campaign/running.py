"""A campaign from its file to its tables: run, count, keep, log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from lab.pipeline.campaign.accounts import Holdings, MemberAccounts, load_member, run_member
from lab.pipeline.campaign.config import Campaign, load_campaign
from lab.pipeline.campaign.neighbourhoods import neighbour_rows, plateaus
from lab.pipeline.campaign.parts import Regimes, parts_of
from lab.pipeline.campaign.records import keep_tables, record_of
from lab.pipeline.campaign.tables import (
    breakdown_tables,
    correlations,
    daily_returns,
    family_returns,
    figure_rows,
)
from lab.pipeline.inputs import Inputs
from lab.search import Ledger
from lab.tracking import Tracker

__all__ = ["CampaignRun", "run_campaign"]

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class CampaignRun:
    """A finished campaign.

    Attributes
    ----------
    run_id : str
        Of the MLflow run, whose parts are the members at each cost level.
    folder : Path
        Its tables, as CSV and Parquet.
    tables : mapping of str to DataFrame
    document : mapping
        What ``mnemo campaign --json`` prints.
    """

    run_id: str
    folder: Path
    tables: Mapping[str, pl.DataFrame]
    document: dict[str, Any]


def run_campaign(path: Path | str, *, root: Path, report: Report | None = None) -> CampaignRun:
    """Run every member of a campaign at every cost level, in both engines, and table the results.

    Every evaluation is counted in the trial ledger. Tables appear under ``reports/campaigns/<campaign_id>``
    when all are ready; a campaign that was killed is run again, and leaves the same.

    Parameters
    ----------
    path : path
        Campaign file; see :class:`~lab.pipeline.campaign.config.CampaignConfig`.
    root : pathlib.Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    report : callable, optional
        Called with (task, done, total).

    Raises
    ------
    ConfigError, DataError, WeightError
        As loading and evaluating the members.
    """
    began = datetime.now(UTC)
    campaign = load_campaign(path)
    regimes = None if campaign.config.regimes is None else Regimes.read(campaign.config.regimes, root=root)
    found = _run(campaign, regimes, root, report or _nobody)
    tables = _tables(found, campaign.config.headline_costs)
    record = record_of(campaign, found.accounts, tables, Ledger(root), began=began, ended=datetime.now(UTC))
    folder = keep_tables(root / "reports" / "campaigns" / campaign.config.campaign_id, tables, record.result)
    run_id = Tracker(root).log(record)
    document = {"run_id": run_id, "folder": str(folder), **record.result}
    document |= {
        name: tables[name].to_dicts() for name in ("figures", "correlations", "plateaus") if name in tables
    }
    return CampaignRun(run_id, folder, tables, document)


def _nobody(task: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass(slots=True, eq=False)
class _Found:
    accounts: list[MemberAccounts] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    daily: list[pl.DataFrame] = field(default_factory=list)
    neighbourhood: list[dict[str, Any]] = field(default_factory=list)


def _run(campaign: Campaign, regimes: Regimes | None, root: Path, report: Report) -> _Found:
    """Run one member after the other, so that the bars of one are in memory at a time."""
    config, ledger = campaign.config, Ledger(root)
    found, holdings = _Found(), Holdings()
    for done, member in enumerate(campaign.members):
        report(config.campaign_id, done, len(campaign.members))
        inputs = load_member(member, root=root)
        account = run_member(member, inputs, config.costs, config.headline_costs, ledger)
        parts = list(parts_of(config, inputs.panel, account.first, regimes))
        found.figures += figure_rows(account, inputs.panel, parts, holdings)
        found.daily.append(daily_returns(account, inputs.panel, holdings, config.headline_costs))
        found.accounts.append(account)
        if config.neighbourhood is not None and isinstance(inputs, Inputs):
            found.neighbourhood += neighbour_rows(
                member,
                inputs,
                config.neighbourhood,
                root=root,
                report=partial(report, f"around {member.name}"),
            )
    report(config.campaign_id, len(campaign.members), len(campaign.members))
    return found


def _tables(found: _Found, headline: str) -> dict[str, pl.DataFrame]:
    daily = pl.concat(found.daily)
    own = daily.filter(pl.col("costs") == headline, pl.col("family") != "hold")
    tables = {
        "figures": pl.DataFrame(found.figures, infer_schema_length=None),
        "daily_returns": daily,
        "correlations": correlations(own.select("date", "id", "return")),
        "family_correlations": correlations(family_returns(own)),
        **breakdown_tables(found.accounts),
    }
    if found.neighbourhood:
        tables["neighbourhood"] = pl.DataFrame(found.neighbourhood, infer_schema_length=None)
        tables["plateaus"] = plateaus(tables["neighbourhood"])
    return tables
