"""One run of the bridge, observed: whatever happens in it is logged, measured and, where it matters, sent.

Nothing here can stop a tick: what fails in telling is told in the log, and the run ends as it would have.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from feature_store.errors import StoreError
from lab.core.errors import ConfigError, MnemoError
from live_bridge.config import load_config
from live_bridge.monitoring.alerts import Send, due, message, remembered, sender, store
from live_bridge.monitoring.catalogue import Incident, Severity
from live_bridge.monitoring.logs import Log, open_log
from live_bridge.monitoring.redaction import Redactor
from live_bridge.monitoring.settings import MonitoringSettings

__all__ = ["Observation", "incidents_of", "incidents_of_error", "observation_of", "observed"]

Act = Callable[[], tuple[dict[str, Any], int]]

_BY_EXIT_CODE: Final[Mapping[int, str]] = {
    2: "CONFIG_FAULT",
    3: "DATA_PROBLEM",
    4: "EXCHANGE_FAILED",
    5: "HALTED",
    75: "LOCKED",
}
# Reasons of a run's document that are incidents by themselves; the word before the first blank.
_BY_REASON: Final = (
    "SHORT_HISTORY",
    "DATA_PROBLEM",
    "RECOVERED",
    "ABANDONED",
    "CONFIG_CHANGED",
    "KEY_UNRESTRICTED",
    "KEY_OLD",
)
_HEARTBEAT_SECONDS: Final = 5.0
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Observation:
    """Where and under which names a run is told of.

    Attributes
    ----------
    settings : MonitoringSettings
    root : pathlib.Path
        What the settings' folders are relative to.
    account, portfolio, exchange : str
        Names; empty where the configuration could not be read.
    state : pathlib.Path
        The journal's file.
    environment : mapping of str to str
        ``MNEMO_ALERT_URLS``, ``MNEMO_HEARTBEAT_URL`` and the secrets that are masked.
    """

    settings: MonitoringSettings
    root: Path
    account: str
    portfolio: str
    exchange: str
    state: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def who(self) -> str:
        """Account and portfolio, for titles."""
        return f"{self.account}/{self.portfolio}"


def observation_of(config: Path, *, root: Path) -> Observation:
    """Return where a run of `config` is told of; with the shipped settings where it cannot be read."""
    try:
        loaded = load_config(config, root=root, environment=os.environ)
    except MnemoError:
        state = root / "data/live" / f"{config.stem}.sqlite"
        return Observation(MonitoringSettings(), root, "unknown", config.stem, "", state)
    settings = loaded.settings
    return Observation(
        settings.monitoring,
        root,
        settings.account,
        loaded.portfolio.stem,
        settings.exchange.id,
        loaded.state,
    )


def observed(act: Act, observation: Observation) -> tuple[dict[str, Any], int]:
    """Run `act`, tell of it, and return or raise what it did.

    Parameters
    ----------
    act : callable
        Returns a run's document and exit code, or raises.
    observation : Observation
    """
    log = _log(observation)
    try:
        document, code = act()
    except Exception as error:
        code = int(getattr(error, "exit_code", 1))
        _tell(_Told(observation, log, {}, code, [incidents_of_error(error)]))
        raise
    _tell(_Told(observation, log, document, code, incidents_of(document)))
    return document, code


def incidents_of(document: Mapping[str, Any]) -> list[Incident]:
    """Return the incidents of a run's document: those it lists, and those its reasons and mode imply."""
    found = [Incident.from_document(entry) for entry in document.get("incidents", ())]
    told = {(incident.code, incident.symbol) for incident in found}
    for reason in document.get("reasons", ()):
        code, _, detail = reason.partition(" ")
        if code in _BY_REASON and (code, "") not in told:
            found.append(Incident(code, detail))
    mode = (document.get("state") or {}).get("mode", "NORMAL")
    if mode in {"REDUCE_ONLY", "HALTED"} and (mode, "") not in told:
        found.append(Incident(mode, f"the portfolio's risk mode is {mode}"))
    return found


def incidents_of_error(error: BaseException) -> Incident:
    """Return the incident that an error is; the error may name it in its attribute ``incident``."""
    code = getattr(error, "incident", None) or _BY_EXIT_CODE.get(getattr(error, "exit_code", 1))
    if code is None:
        return Incident("UNEXPECTED_ERROR", f"{type(error).__name__}: a fault of the bridge itself")
    return Incident(code, str(error))


@dataclass(frozen=True, slots=True)
class _Told:
    """A run that has ended, as every way of telling it needs it."""

    observation: Observation
    log: Log | None
    document: Mapping[str, Any]
    code: int
    incidents: Sequence[Incident]


def _tell(told: _Told) -> None:
    for step in (_write_log, _write_metrics, _send_alerts, _beat):
        with _harmless(told.log):
            step(told)


def _write_log(told: _Told) -> None:
    log, document = told.log, told.document
    if log is None:
        return
    for entry in document.get("decisions", ()):
        log.info(
            "decision",
            strategy_id=entry["instance"],
            family=entry.get("family", ""),
            symbol=entry["symbol"],
            **{key: entry[key] for key in ("bar", "weight", "permitted", "reasons")},
        )
    for order in document.get("orders", ()):
        log.info("order", symbol=order["symbol"], trace_id=order["id"], details=dict(order))
    for incident in told.incidents:
        write = log.info if incident.severity is Severity.INFO else log.warning
        if incident.severity is Severity.CRITICAL:
            write = log.critical
        write(incident.detail, symbol=incident.symbol, code=incident.code)
    log.info(
        "run ended",
        trace_id=document.get("tick") or "",
        exit_code=told.code,
        bar=document.get("bar"),
        seconds=document.get("seconds", {}),
        who=told.observation.who,
    )


def _write_metrics(told: _Told) -> None:
    from live_bridge.monitoring.facts import journal_facts
    from live_bridge.monitoring.metrics import RunFacts, write_textfile

    observation = told.observation
    named = tuple(sorted({(incident.code, incident.severity.name) for incident in told.incidents}))
    facts = RunFacts(
        observation.account,
        observation.portfolio,
        told.code,
        told.document,
        named,
        journal_facts(observation.state),
        observation.state,
        datetime.now(UTC).timestamp(),
    )
    write_textfile(observation.root / observation.settings.metrics, facts)


def _send_alerts(told: _Told) -> None:
    observation = told.observation
    urls = observation.environment.get("MNEMO_ALERT_URLS", "").split()
    settings = observation.settings
    path = observation.state.with_name(observation.state.name + ".alerts.json")
    if not urls:
        return
    sending, memory = due(
        told.incidents,
        remembered(path),
        now=datetime.now(UTC),
        least=Severity[settings.alert_from],
        repeat=timedelta(hours=settings.alert_repeat_hours),
    )
    failed = _deliver(sending, sender(urls, timeout=settings.alert_timeout_seconds), observation)
    # What did not arrive is not remembered as sent, and is tried again by the next run.
    store(path, {key: entry for key, entry in memory.items() if key not in failed})
    if failed and told.log is not None:
        told.log.critical("alerts could not be delivered", alerts=sorted(failed))


def _deliver(sending: Sequence[tuple[Incident, int]], send: Send, observation: Observation) -> set[str]:
    redactor = Redactor.from_environment(observation.environment)
    failed = set()
    for incident, held_back in sending:
        title, text = message(incident, held_back, who=observation.who)
        if not send(redactor.text(title), redactor.text(text), incident.severity):
            failed.add(f"{incident.code} {incident.symbol}".strip())
    return failed


def _beat(told: _Told) -> None:
    url = told.observation.environment.get("MNEMO_HEARTBEAT_URL", "")
    if not url or told.code != 0:
        return
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigError("MNEMO_HEARTBEAT_URL: expected an https address (http only on this machine)")
    import requests

    requests.get(url, timeout=_HEARTBEAT_SECONDS, allow_redirects=False).raise_for_status()


def _log(observation: Observation) -> Log | None:
    try:
        return open_log(
            observation.root / observation.settings.logs,
            correlation_id=uuid.uuid4().hex[:16],
            exchange_id=observation.exchange,
            redactor=Redactor.from_environment(observation.environment),
        )
    except StoreError:
        return None


@contextmanager
def _harmless(log: Log | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if log is not None:
            log.warning("telling of the run failed", error=f"{type(error).__name__}: {error}")
