"""What has to be true before an order can reach an exchange; each lock by itself is enough to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final
from urllib.parse import urlsplit

from lab.core.errors import ConfigError
from lab.strategies import Portfolio
from live_bridge.config import PROFILES, LoadedConfig
from live_bridge.exchange import KeyRights

__all__ = [
    "OWN_MACHINE",
    "Finding",
    "KeyRefusedError",
    "at_stage",
    "check_host",
    "check_rights",
    "require_live",
    "rights_findings",
]

OWN_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TEST_NETS: Final = frozenset({"testnet.binance.vision", "demo-api.binance.com"})


class KeyRefusedError(ConfigError):
    """The exchange accepts the API key, and its rights are not those that trading needs."""

    incident: ClassVar[str] = "KEY_REFUSED"


def require_live(
    loaded: LoadedConfig, portfolio: Portfolio, *, live: bool, environment: Mapping[str, str]
) -> None:
    """Refuse to trade unless file, command line, environment and every instance agree to it.

    Parameters
    ----------
    loaded : LoadedConfig
    portfolio : Portfolio
    live : bool
        Whether ``--live`` was given.
    environment : mapping of str to str
        ``MNEMO_ENV``.

    Raises
    ------
    ConfigError
        Naming the lock that is closed.
    """
    source = loaded.source
    if loaded.settings.mode != "live":
        if live:
            raise ConfigError(
                f"{source}: mode: paper, and --live was given; write mode: live, or leave it out"
            )
        return
    if not live:
        raise ConfigError(f"{source}: mode: live needs --live on the command line too; nothing was done")
    profile = environment.get("MNEMO_ENV", "")
    if profile != "prod":
        found = profile or "nothing"
        raise ConfigError(
            f"mode: live needs MNEMO_ENV=prod in the environment, found {found}; nothing was done"
        )
    early = [one for one in portfolio.instances if one.config.mode == "backtest"]
    if early:
        raise ConfigError(
            f"{early[0].source}: {early[0].strategy_id} is at stage backtest; a live bridge runs instances "
            "at mode: live, and simulates those at mode: paper beside them"
        )
    if all(one.config.mode != "live" for one in portfolio.instances):
        raise ConfigError(f"{source}: mode: live, but no instance of {portfolio.source} is at mode: live")


def check_host(base_url: str | None, environment: Mapping[str, str]) -> None:
    """Refuse to read keys for the real exchange outside of ``MNEMO_ENV=prod``.

    Raises
    ------
    ConfigError
        If the profile is none, or is not allowed to reach that host with keys.
    """
    profile = environment.get("MNEMO_ENV", "dev")
    if profile not in PROFILES:
        raise ConfigError(f"MNEMO_ENV={profile}: expected {', '.join(PROFILES)}")
    host = urlsplit(base_url or "").hostname
    if profile != "prod" and host not in OWN_MACHINE | _TEST_NETS:
        raise ConfigError(
            f"MNEMO_ENV={profile} reads keys of a test net or the loopback exchange only; exchange.base_url "
            f"is {base_url or 'the real exchange'}"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with an API key: an incident's code, and what was found and has to change."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code} {self.detail}"


def rights_findings(rights: KeyRights, *, now: datetime, max_age_days: float) -> list[Finding]:
    """Return what is wrong with a key: ``KEY_REFUSED`` forbids a live run, the others are warnings.

    Parameters
    ----------
    rights : KeyRights
        As the exchange tells them. A key whose age it does not tell is not old.
    now : datetime
        Exchange time.
    max_age_days : float
        An older key should be replaced: nobody knows who has seen it.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> rights = KeyRights(withdraw=True, trade=True, ip_restricted=False, created_ms=1)
    >>> now = datetime(1970, 5, 1, tzinfo=UTC)
    >>> [found.code for found in rights_findings(rights, now=now, max_age_days=90)]
    ['KEY_REFUSED', 'KEY_UNRESTRICTED', 'KEY_OLD']
    """
    found = []
    if rights.withdraw:
        text = (
            "the API key may withdraw: whoever reads it owns the account. Switch withdrawals off for it at "
            "the exchange, or make another key"
        )
        found.append(Finding("KEY_REFUSED", text))
    if not rights.trade:
        text = "the API key may not trade on spot; switch that on for it at the exchange"
        found.append(Finding("KEY_REFUSED", text))
    if not rights.ip_restricted:
        text = "the API key works from any address; bind it to this machine's at the exchange"
        found.append(Finding("KEY_UNRESTRICTED", text))
    if rights.created_ms is not None:
        created = datetime.fromtimestamp(rights.created_ms / 1_000, UTC)
        days = (now - created) / timedelta(days=1)
        if days > max_age_days:
            text = (
                f"the API key was made {days:.0f} days ago ({created:%Y-%m-%d}), key_max_age_days is "
                f"{max_age_days:g}: make another one, and delete this one at the exchange"
            )
            found.append(Finding("KEY_OLD", text))
    return found


def check_rights(rights: KeyRights, *, now: datetime, max_age_days: float) -> list[str]:
    """Refuse a key that may withdraw, or may not trade; return warnings; see :func:`rights_findings`.

    Raises
    ------
    ConfigError
        Saying what to change at the exchange.
    """
    found = rights_findings(rights, now=now, max_age_days=max_age_days)
    for finding in found:
        if finding.code == "KEY_REFUSED":
            raise KeyRefusedError(f"{finding.detail}; nothing was done")
    return [str(finding) for finding in found]


def at_stage(portfolio: Portfolio, stage: str) -> Portfolio | None:
    """Return the portfolio of the instances at one stage, with their own shares; None when there is none."""
    chosen = [
        (instance, share)
        for instance, share in zip(portfolio.instances, portfolio.allocations, strict=True)
        if instance.config.mode == stage
    ]
    if not chosen:
        return None
    instances, allocations = zip(*chosen, strict=True)
    return replace(portfolio, instances=tuple(instances), allocations=tuple(allocations))
