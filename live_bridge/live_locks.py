"""What has to be true before an order can reach an exchange; each lock by itself is enough to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from lab.core.errors import ConfigError
from lab.strategies import Portfolio
from live_bridge.config import PROFILES, LoadedConfig
from live_bridge.exchange import KeyRights

__all__ = ["at_stage", "check_host", "check_rights", "require_live"]

_OWN_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TEST_NETS: Final = frozenset({"testnet.binance.vision", "demo-api.binance.com"})


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
    if profile != "prod" and host not in _OWN_MACHINE | _TEST_NETS:
        raise ConfigError(
            f"MNEMO_ENV={profile} reads keys of a test net or the loopback exchange only; exchange.base_url "
            f"is {base_url or 'the real exchange'}"
        )


def check_rights(rights: KeyRights) -> str | None:
    """Refuse a key that may withdraw, or may not trade; return a warning about one that works from anywhere.

    Raises
    ------
    ConfigError
        Saying what to change at the exchange.
    """
    if rights.withdraw:
        raise ConfigError(
            "the API key may withdraw: whoever reads it owns the account. Switch withdrawals off for it at "
            "the exchange, or make another key; nothing was done"
        )
    if not rights.trade:
        raise ConfigError("the API key may not trade on spot; switch that on for it at the exchange")
    if rights.ip_restricted:
        return None
    return "KEY_UNRESTRICTED the API key works from any address; bind it to this machine's at the exchange"


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
