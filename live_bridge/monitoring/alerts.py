"""Alerts: incidents worth a message, each sent once until it has lasted for some hours, through Apprise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError
from live_bridge.monitoring.catalogue import Incident, Severity

__all__ = ["Memory", "Send", "due", "message", "remembered", "sender", "store"]

Send = Callable[[str, str, Severity], bool]

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_RUNBOOK: Final = "live_bridge/OPERATIONS_RUNBOOK.md"
# An incident not seen for this many repeats is over, and forgotten.
_FORGET_AFTER_REPEATS: Final = 4


@dataclass(frozen=True, slots=True)
class Memory:
    """When an incident was last sent, when it was last seen, and how often since it was sent."""

    sent: datetime
    seen: datetime
    count: int = 0


def due(
    incidents: Iterable[Incident],
    memory: Mapping[str, Memory],
    *,
    now: datetime,
    least: Severity,
    repeat: timedelta,
) -> tuple[list[tuple[Incident, int]], dict[str, Memory]]:
    """Return what is to be sent now, each with how often it was held back, and the memory after that.

    Two incidents are the same when code and symbol are. One is sent when it is new, or when its last message
    is older than `repeat`; in between it is counted. Pure.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon, hour = datetime(2024, 5, 1, 12, tzinfo=UTC), timedelta(hours=1)
    >>> found = [Incident("HALTED", "drawdown")]
    >>> sent, memory = due(found, {}, now=noon, least=Severity.WARNING, repeat=hour)
    >>> len(sent)
    1
    >>> due(found, memory, now=noon + hour / 2, least=Severity.WARNING, repeat=hour)[0]
    []
    """
    after = {key: entry for key, entry in memory.items() if now - entry.seen < _FORGET_AFTER_REPEATS * repeat}
    sending: list[tuple[Incident, int]] = []
    for incident in {_key(incident): incident for incident in incidents}.values():
        if incident.severity < least:
            continue
        last = after.get(_key(incident))
        if last is None or now - last.sent >= repeat or now < last.sent:
            sending.append((incident, last.count if last else 0))
            after[_key(incident)] = Memory(now, now)
        else:
            after[_key(incident)] = Memory(last.sent, now, last.count + 1)
    return sending, after


def message(incident: Incident, held_back: int, *, who: str) -> tuple[str, str]:
    """Return title and text of an alert; `who` names account and portfolio."""
    about = f" {incident.symbol}" if incident.symbol else ""
    title = f"{incident.severity.name} {incident.code}{about} ({who})"
    repeated = f"\nSeen {held_back} more times since the last message." if held_back else ""
    return title, f"{incident.detail}{repeated}\nWhat to do: {_RUNBOOK}, entry {incident.code}"


def sender(urls: Sequence[str], *, timeout: float) -> Send:
    """Return a function that sends title and text to every address; it answers whether all took it.

    Parameters
    ----------
    urls : sequence of str
        Apprise addresses (``tgram://…``, ``mailtos://…``, ``jsons://…``).
    timeout : float
        Seconds for all of them together.

    Raises
    ------
    ConfigError
        If an address cannot be understood, or would send unencrypted to another machine. The message names
        the scheme, never the address.
    """
    import apprise

    service = apprise.Apprise()
    for position, url in enumerate(urls, start=1):
        _check(apprise.Apprise.instantiate(url), url, position)
        service.add(url)
    kinds = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.CRITICAL: apprise.NotifyType.FAILURE,
    }

    def send(title: str, text: str, severity: Severity) -> bool:
        return bool(service.notify(body=text, title=title, notify_type=kinds[severity], timeout=timeout))

    return send


def remembered(path: Path) -> dict[str, Memory]:
    """Return what :func:`store` wrote; nothing where there is no file or it is damaged.

    Losing this memory repeats messages; refusing to run for it would be worse.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: Memory(
                datetime.fromisoformat(entry["sent"]),
                datetime.fromisoformat(entry["seen"]),
                int(entry["count"]),
            )
            for key, entry in entries.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def store(path: Path, memory: Mapping[str, Memory]) -> None:
    """Write the memory, all or nothing."""
    entries = {
        key: {"sent": entry.sent.isoformat(), "seen": entry.seen.isoformat(), "count": entry.count}
        for key, entry in memory.items()
    }
    write_bytes(path, json.dumps(entries, indent=1, sort_keys=True).encode())


def _key(incident: Incident) -> str:
    return f"{incident.code} {incident.symbol}".strip()


def _check(plugin: Any, url: str, position: int) -> None:
    scheme = url.partition("://")[0].lower()
    if plugin is None:
        raise ConfigError(
            f"MNEMO_ALERT_URLS: address {position} ({scheme or 'without a scheme'}) is not understood; "
            "expected Apprise addresses such as tgram://…, mailtos://… or jsons://…, separated by blanks"
        )
    plain = plugin.protocol or ()
    schemes = (plain,) if isinstance(plain, str) else tuple(plain)
    if scheme in schemes and urlsplit(url).hostname not in _LOOPBACK:
        raise ConfigError(
            f"MNEMO_ALERT_URLS: address {position} ({scheme}) would send unencrypted to another machine; "
            f"use the encrypted scheme ({scheme}s)"
        )
