"""What an exchange says of the API key in use: the command ``live-bridge keys check``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from live_bridge.ccxt_account import connect_account
from live_bridge.config import load_config
from live_bridge.keys import key_source, read_keys
from live_bridge.live_locks import check_host, rights_findings

__all__ = ["check_keys"]


def check_keys(config: Path, *, root: Path, environment: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    """Ask the exchange what the configured API key may do; nothing is written or ordered.

    Parameters
    ----------
    config, root : pathlib.Path
        ``bridge.yaml``, and the folder that holds ``data/``.
    environment : mapping of str to str
        Where profile and keys come from.

    Returns
    -------
    document : dict
        ``exchange``, ``mode``, ``source`` (environment, file, encrypted file; null where a paper bridge has
        no key), ``withdraw, trade, ip_restricted, created, age_days`` (null where not known) and ``findings``
        (``code, detail``): KEY_REFUSED, KEY_UNRESTRICTED, KEY_OLD.
    code : int
        0, or 1 when a live run would refuse the key.

    Raises
    ------
    ConfigError
        If a live bridge has no key, its file does not open, or `base_url` may not be reached with keys.
    VenueError
        If the exchange does not accept the key or does not answer.
    """
    loaded = load_config(config, root=root, environment=environment)
    exchange = loaded.settings.exchange
    nothing = dict.fromkeys(("source", "withdraw", "trade", "ip_restricted", "created", "age_days"))
    told: dict[str, Any] = {"exchange": exchange.id, "mode": loaded.settings.mode, **nothing, "findings": []}
    if loaded.settings.mode == "paper" and not key_source(exchange.id, environment):
        return told, 0
    check_host(exchange.base_url, environment)
    keys = read_keys(exchange.id, environment)
    account = connect_account(exchange, keys, recv_window_ms=loaded.settings.recv_window_ms)
    now, rights = account.now(), account.rights()
    found = rights_findings(rights, now=now, max_age_days=loaded.settings.key_max_age_days)
    created = None if rights.created_ms is None else datetime.fromtimestamp(rights.created_ms / 1_000, UTC)
    told |= {"source": keys.source, "withdraw": rights.withdraw, "trade": rights.trade}
    told |= {"ip_restricted": rights.ip_restricted, "findings": [asdict(finding) for finding in found]}
    if created is not None:
        days = max((now - created) / timedelta(days=1), 0.0)
        told |= {"created": created.isoformat(), "age_days": round(days, 1)}
    return told, int(any(finding.code == "KEY_REFUSED" for finding in found))
