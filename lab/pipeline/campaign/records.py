"""What is kept of a campaign: files of tables, and one run with a part per member and cost level."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import write_bytes, write_parquet
from lab.backtest import Bars, compute_metrics
from lab.core.hashing import digest
from lab.pipeline.campaign.accounts import Account, MemberAccounts
from lab.pipeline.campaign.config import Campaign
from lab.pipeline.environment import environment
from lab.pipeline.records import numbers
from lab.search import Judgement, Ledger
from lab.tracking import ChildRecord, DataInput, Provenance, RunRecord, code_version

__all__ = ["CAMPAIGN_FAMILY", "keep_tables", "record_of"]

CAMPAIGN_FAMILY: Final = "campaign"
# Of the way in which members are compared.
_VERSION: Final = "1.0.0"
_DOCUMENT: Final = "campaign.json"


def keep_tables(folder: Path, tables: Mapping[str, pl.DataFrame], document: Mapping[str, Any]) -> Path:
    """Write every table as CSV and Parquet, and last the document that says what they are of."""
    (folder / _DOCUMENT).unlink(missing_ok=True)
    for name, table in tables.items():
        write_parquet(folder / f"{name}.parquet", table)
        write_bytes(folder / f"{name}.csv", table.write_csv().encode())
    text = json.dumps({"tables": list(tables), **document}, indent=2, default=str)
    write_bytes(folder / _DOCUMENT, text.encode())
    return folder


def record_of(
    campaign: Campaign,
    accounts: Sequence[MemberAccounts],
    tables: Mapping[str, pl.DataFrame],
    ledger: Ledger,
    *,
    began: datetime,
    ended: datetime,
) -> RunRecord:
    """Return the campaign as one run; members are judged by all trials on record, the campaign's included."""
    judged = {
        account.member.name: ledger.judge(account.member.family, account.identity) for account in accounts
    }
    head = next(reversed(judged.values())).head
    differences = [run.engine_difference for account in accounts for run in account.accounts.values()]
    config = campaign.config
    return RunRecord(
        name=config.campaign_id,
        kind="campaign",
        started=began,
        ended=ended,
        provenance=Provenance(
            code=code_version(),
            strategy_id=config.campaign_id,
            family=CAMPAIGN_FAMILY,
            strategy_version=_VERSION,
            config_hash=campaign.config_hash,
            config_version=_VERSION,
            data=_data(accounts),
            feature_hashes={k: v for account in accounts for k, v in account.features.items()},
            seed=0,
            engine_difference=max(differences),
            ledger_head=head,
        ),
        config=campaign.text,
        params={"members": len(accounts), "costs": ", ".join(config.costs), "periods": len(config.periods)},
        metrics={"members": len(accounts), "evaluations": len(differences)},
        result=_document(campaign, accounts, judged, max(differences), head),
        tables=tables,
        children=_children(accounts, judged),
    )


def _document(
    campaign: Campaign,
    accounts: Sequence[MemberAccounts],
    judged: Mapping[str, Judgement],
    difference: float,
    head: str,
) -> dict[str, Any]:
    config = campaign.config
    failed = [
        f"{account.member.name} at {level} costs"
        for account in accounts
        for level, run in account.accounts.items()
        if run.status != "OK"
    ]
    return {
        "campaign_id": config.campaign_id,
        "strategy_id": config.campaign_id,
        "family": CAMPAIGN_FAMILY,
        "kind": "campaign",
        "description": config.description,
        "config_hash": campaign.config_hash,
        "config": config.model_dump(mode="json"),
        "engine_difference": difference,
        "ledger_head": head,
        "status": "FAILED" if failed else "OK",
        "failed": failed,
        "members": [
            _member(account, judged[account.member.name], config.headline_costs) for account in accounts
        ],
        "environment": environment(),
    }


def _member(account: MemberAccounts, judgement: Judgement, headline: str) -> dict[str, Any]:
    run = account.accounts[headline]
    return {
        "id": account.member.name,
        "family": account.member.family,
        "timeframe": str(account.timeframe),
        "markets": len(account.identity.markets),
        "first_bar": f"{account.ts[account.first]}Z",
        "last_bar": f"{account.ts[-1]}Z",
        "data_hash": account.data_hash,
        "config_hash": account.config_hash,
        "deflated_sharpe": judgement.deflated(run.statistics),
        "n_trials_ledger": judgement.n_trials,
        "engine_difference": max(one.engine_difference for one in account.accounts.values()),
        "warnings": list(run.warnings),
    }


def _children(accounts: Sequence[MemberAccounts], judged: Mapping[str, Judgement]) -> tuple[ChildRecord, ...]:
    children = []
    for account in accounts:
        member, judgement = account.member, judged[account.member.name]
        for level, run in account.accounts.items():
            children.append(
                ChildRecord(
                    name=f"{member.name} {level}",
                    params={"member": member.name, "family": member.family, "costs": level},
                    metrics={
                        **numbers(_metrics(account, run)),
                        "deflated_sharpe": judgement.deflated(run.statistics),
                        "n_trials": judgement.n_trials,
                    },
                    tags={"family": member.family, "timeframe": str(account.timeframe)},
                )
            )
    return tuple(children)


def _metrics(account: MemberAccounts, run: Account) -> dict[str, float]:
    bars: Bars = run.bars.rows(account.first, len(run.bars))
    return compute_metrics(bars, periods_per_year=account.timeframe.periods_per_year)


def _data(accounts: Sequence[MemberAccounts]) -> DataInput:
    markets = sorted({market for account in accounts for market in account.identity.markets})
    frames = sorted({account.timeframe for account in accounts})
    return DataInput(
        name=f"campaign {' '.join(str(frame) for frame in frames)}",
        content_hash=digest([account.data_hash for account in accounts]),
        description={
            "markets": ", ".join(markets),
            "timeframes": ", ".join(str(frame) for frame in frames),
            "first": f"{min(account.ts[0] for account in accounts)}Z",
            "last": f"{max(account.ts[-1] for account in accounts)}Z",
            "bars": sum(account.stored_bars for account in accounts),
        },
    )
