"""Prometheus metrics of the bridge: one table of names, filled from a run's document and its journal.

A cron job leaves a text file for the node exporter, written whole or not at all; ``watch`` serves the same
over HTTP on this machine. The process that counts lives for seconds, so that totals are those of the journal.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from feature_store.atomic import write_bytes

__all__ = ["METRICS", "RunFacts", "exposition", "registry_of", "write_textfile"]

# Name: labels beside account and portfolio, and what it is.
METRICS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "mnemo_bridge_up": ((), "1 when the last run ended with exit code 0"),
    "mnemo_bridge_exit_code": ((), "Exit code of the last run"),
    "mnemo_bridge_run_timestamp_seconds": ((), "When the last run ended, by this machine's clock"),
    "mnemo_bridge_bar_timestamp_seconds": ((), "Opening time of the last bar decided on"),
    "mnemo_bridge_run_seconds": (("phase",), "Duration of the last run's phases"),
    "mnemo_bridge_equity": (("currency",), "Value of the account at the last known prices"),
    "mnemo_bridge_cash": (("currency",), "Cash of the account"),
    "mnemo_bridge_exposure_ratio": ((), "Value of all positions as a fraction of equity"),
    "mnemo_bridge_position_ratio": (("symbol",), "Value of a position as a fraction of equity"),
    "mnemo_bridge_position_quantity": (("symbol",), "Quantity of a position, base currency"),
    "mnemo_bridge_drawdown_ratio": ((), "Equity against its highest of the last 2,000 ticks; 0 or below"),
    "mnemo_bridge_day_return_ratio": ((), "Equity against the first tick of the UTC day"),
    "mnemo_bridge_limit_use_ratio": (("limit",), "Use of a risk budget; 1 is the limit"),
    "mnemo_bridge_risk_mode": ((), "0 normal, 1 reductions only, 2 halted"),
    "mnemo_bridge_orders": (("status",), "Orders of the last tick"),
    "mnemo_bridge_fills_total": ((), "Fills in the journal"),
    "mnemo_bridge_fees_total": (("asset",), "Fees in the journal"),
    "mnemo_bridge_slippage_bps": ((), "Slippage of the last tick's fills against the price at decision"),
    "mnemo_bridge_incidents": (("code", "severity"), "Incidents of the last run"),
    "mnemo_bridge_data_age_seconds": (("instance",), "Age of the newest complete bar of an instance"),
    "mnemo_bridge_journal_events": ((), "Events in the journal"),
    "mnemo_bridge_journal_bytes": ((), "Size of the journal's file"),
    "mnemo_bridge_memory_bytes": ((), "Largest resident memory of the last run"),
    "mnemo_bridge_disk_free_ratio": ((), "Free share of the disk that holds the journal"),
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What there is to tell of one run.

    Attributes
    ----------
    account, portfolio : str
        Labels of every metric.
    exit_code : int
    document : mapping
        As ``live-bridge run --json`` prints it; empty where the run failed before it had one.
    incidents : sequence of (code, severity)
    journal : mapping
        As :func:`live_bridge.monitoring.facts.journal_facts` returns it.
    state : pathlib.Path
        The journal's file.
    ended : float
        When the run ended, seconds since 1970.
    """

    account: str
    portfolio: str
    exit_code: int
    document: Mapping[str, Any]
    incidents: tuple[tuple[str, str], ...]
    journal: Mapping[str, Any]
    state: Path
    ended: float


def registry_of(facts: RunFacts) -> CollectorRegistry:
    """Return the metrics of a run as a registry of Prometheus' client."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(facts))
    return registry


def exposition(facts: RunFacts) -> bytes:
    """Return the metrics of a run in Prometheus' text format."""
    return generate_latest(registry_of(facts))


def write_textfile(folder: Path, facts: RunFacts) -> Path:
    """Write ``mnemo_bridge_<account>_<portfolio>.prom`` under `folder`, all or nothing; return its path."""
    path = folder / f"mnemo_bridge_{facts.account}_{facts.portfolio}.prom"
    write_bytes(path, exposition(facts))
    return path


class _Collector:
    def __init__(self, facts: RunFacts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        samples: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for name, labels, value in _samples(self._facts):
            samples.setdefault(name, []).append((labels, value))
        common = (self._facts.account, self._facts.portfolio)
        for name, (labels, text) in METRICS.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=["account", "portfolio", *labels])
            for own, value in samples.pop(name, ()):
                family.add_metric([*common, *own], value)
            yield family
        if samples:
            raise KeyError(f"metrics without an entry in METRICS: {', '.join(sorted(samples))}")


Sample = tuple[str, tuple[str, ...], float]


def _samples(facts: RunFacts) -> Iterator[Sample]:
    yield from _of_process(facts)
    document = facts.document
    for code, severity in facts.incidents:
        yield "mnemo_bridge_incidents", (code, severity), 1.0
    for phase, seconds in document.get("seconds", {}).items():
        yield "mnemo_bridge_run_seconds", (phase,), float(seconds)
    if document.get("bar"):
        yield "mnemo_bridge_bar_timestamp_seconds", (), _seconds(document["bar"])
    if document.get("state"):
        yield from _of_account(document["state"])
    yield from _of_orders(document.get("orders", ()))
    for row in document.get("limits", ()):
        yield "mnemo_bridge_limit_use_ratio", (str(row["limit"]),), float(row["fraction"])
    yield from _of_journal(facts, document)


def _of_process(facts: RunFacts) -> Iterator[Sample]:
    yield "mnemo_bridge_up", (), float(facts.exit_code == 0)
    yield "mnemo_bridge_exit_code", (), float(facts.exit_code)
    yield "mnemo_bridge_run_timestamp_seconds", (), facts.ended
    # Linux counts in KiB.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield "mnemo_bridge_memory_bytes", (), float(used)
    folder = next(parent for parent in facts.state.parents if parent.exists())
    disk = shutil.disk_usage(folder)
    yield "mnemo_bridge_disk_free_ratio", (), disk.free / disk.total
    if facts.state.exists():
        yield "mnemo_bridge_journal_bytes", (), float(facts.state.stat().st_size)


def _of_account(account: Mapping[str, Any]) -> Iterator[Sample]:
    currency = (str(account["currency"]),)
    yield "mnemo_bridge_equity", currency, float(account["equity"])
    yield "mnemo_bridge_cash", currency, float(account["cash"])
    yield "mnemo_bridge_risk_mode", (), float(("NORMAL", "REDUCE_ONLY", "HALTED").index(account["mode"]))
    yield "mnemo_bridge_exposure_ratio", (), float(sum(entry["weight"] for entry in account["positions"]))
    for entry in account["positions"]:
        yield "mnemo_bridge_position_ratio", (entry["symbol"],), float(entry["weight"])
        yield "mnemo_bridge_position_quantity", (entry["symbol"],), float(entry["quantity"])


def _of_orders(orders: Any) -> Iterator[Sample]:
    counts: dict[str, int] = {}
    conceded = traded = 0.0
    for order in orders:
        counts[order["status"]] = counts.get(order["status"], 0) + 1
        if order.get("fill_price"):
            sign = 1.0 if order["side"] == "buy" else -1.0
            conceded += sign * (order["fill_price"] - order["price"]) * order["quantity"]
            traded += order["price"] * order["quantity"]
    for status, count in counts.items():
        yield "mnemo_bridge_orders", (status,), float(count)
    if traded:
        yield "mnemo_bridge_slippage_bps", (), 10_000.0 * conceded / traded


def _of_journal(facts: RunFacts, document: Mapping[str, Any]) -> Iterator[Sample]:
    journal = facts.journal
    if not journal:
        return
    yield "mnemo_bridge_journal_events", (), float(journal["events"])
    yield "mnemo_bridge_fills_total", (), float(journal["fills"])
    for asset, fee in journal["fees"].items():
        yield "mnemo_bridge_fees_total", (asset,), float(fee)
    equity = (document.get("state") or {}).get("equity")
    if equity is None:
        return
    if journal["peak"]:
        yield "mnemo_bridge_drawdown_ratio", (), min(equity / journal["peak"] - 1.0, 0.0)
    if journal["day_start"]:
        yield "mnemo_bridge_day_return_ratio", (), equity / journal["day_start"] - 1.0
    if document.get("now"):
        for instance, closed in journal["closed"].items():
            age = _seconds(document["now"]) - _seconds(closed)
            yield "mnemo_bridge_data_age_seconds", (instance,), age


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
