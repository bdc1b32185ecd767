"""``mnemo strategy flag``: switch off, or on again, what the bridge may enter."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.shell import Json, Root, emit, instant, root_folder, table
from lab.core.errors import ConfigError

if TYPE_CHECKING:
    from lab.data.flags import Flag

__all__ = ["register"]

_EXAMPLE = 'mnemo strategy flag --market binance:BTC/USDT --off --reason "listing under review" --by ada'


def register(strategies: typer.Typer) -> None:
    """Add ``flag`` to the sub-commands of ``strategy``."""
    strategies.command("flag", epilog=f"Example: {_EXAMPLE}")(_flag)


def _flag(
    exchange: Annotated[str, typer.Option("--exchange", help="Whatever trades there.")] = "",
    market: Annotated[str, typer.Option("--market", help="Such as binance:BTC/USDT.")] = "",
    timeframe: Annotated[str, typer.Option("--timeframe", help="Instances on these bars.")] = "",
    family: Annotated[str, typer.Option("--family", help="Instances of this family.")] = "",
    instance: Annotated[str, typer.Option("--instance", help="One instance, by its strategy_id.")] = "",
    switch: Annotated[str, typer.Option("--switch", help="Instances that list it under flags.")] = "",
    enabled: Annotated[
        bool | None, typer.Option("--on/--off", help="Neither: list what was switched.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")] = "",
    by: Annotated[str, typer.Option("--by", envvar="USER", help="Who says so; it is kept.")] = "",
    at: Annotated[
        str | None, typer.Option("--at", help="From when on, by the exchange's time; ISO 8601. Default: now.")
    ] = None,
    root: Root = Path(),
    json: Json = False,
) -> None:
    """Switch off what the bridge may enter, or on again; from the next tick on, positions may only shrink.

    Several scopes in one call mean what has all of them. Every change stays recorded. The bridge holds its
    time against that of the exchange: on a loopback exchange in the past a flag acts with --at of that time.
    """
    from lab.data.flags import flags, set_flag

    scope = _checked(exchange, market, timeframe, family, instance, switch)
    folder = root_folder(root)
    since = instant(at, "--at")
    if enabled is not None:
        set_flag(folder, scope, enabled=enabled, at=since or datetime.now(UTC), by=by, reason=reason)
    elif scope or since:
        raise ConfigError(
            "flag: a scope or time, and neither --on nor --off; say one, or nothing to list the flags"
        )
    changes = flags(folder)
    emit([asdict(each) for each in changes], as_json=json, show=lambda: _show(changes))


def _checked(
    exchange: str, market: str, timeframe: str, family: str, instance: str, switch: str
) -> dict[str, str]:
    """Return the scopes that are named. A switch with a misspelt name would switch nothing, in silence."""
    from lab.core.market import Market
    from lab.core.timeframe import Timeframe
    from lab.strategies.instance_config import IDENTIFIER
    from lab.strategies.registry import strategy_of

    if switch and not re.fullmatch(IDENTIFIER, switch):
        raise ConfigError(
            f"--switch {switch!r}: instances list names of small letters, digits, dash and underscore"
        )
    scope = {
        "exchange": exchange and Market.parse(f"{exchange}:BASE/QUOTE").exchange,
        "market": market and str(Market.parse(market)),
        "timeframe": timeframe and Timeframe.parse(timeframe).name,
        "family": family and strategy_of(family).family,
        "instance": instance,
        "switch": switch,
    }
    return {name: value for name, value in scope.items() if value}


def _show(changes: list[Flag]) -> None:
    rows = [
        [
            ", ".join(f"{name}={value}" for name, value in each.scope.items()),
            "on" if each.enabled else "off",
            f"{each.at:%Y-%m-%d %H:%M:%S}Z",
            each.by,
            each.reason,
        ]
        for each in changes
    ]
    table("Flags, oldest first", ["scope", "switched", "at", "by", "reason"], rows)
