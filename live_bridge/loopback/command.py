"""The command line of the loopback exchange."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError, MnemoError
from lab.core.settings import parse_document
from live_bridge.loopback.bars import read_listings
from live_bridge.loopback.clock import Clock, parse_speed
from live_bridge.loopback.faults import FaultPlan
from live_bridge.loopback.history import Listing, to_datetime, to_milliseconds
from live_bridge.loopback.model import Balance, State, Venue
from live_bridge.loopback.protocol import Credentials
from live_bridge.loopback.session import Session
from live_bridge.loopback.settings import FilterFile, VenueSettings, filters_of

__all__ = ["build", "main"]

# The loopback exchange holds no money: these keys are known to everyone.
DEFAULT_KEY: Final = "loopback-key"
DEFAULT_SECRET: Final = "loopback-secret"  # noqa: S105

_EPILOG: Final = """example:
  python -m live_bridge.loopback --bars . --as binance --at 2019-06-01T00:00:00Z --balance USD=10000

prints one JSON line with the url, and serves on 127.0.0.1 until SIGTERM or POST /_control/shutdown.
Keys: MNEMO_LOOPBACK_KEY and MNEMO_LOOPBACK_SECRET, else loopback-key and loopback-secret.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = argparse.ArgumentParser(
        prog="python -m live_bridge.loopback",
        description="An exchange on 127.0.0.1 that speaks Binance Spot's REST protocol over stored bars.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--bars", required=True, type=Path, help="project root with data/bars, or a folder of Parquet files")
    add("--as", dest="protocol", default="binance", choices=["binance"], help="whose protocol to speak")
    add("--exchange", action="append", default=[], metavar="VENUE", help="serve this venue's bars only")
    add("--port", type=int, default=0, help="0 (default): any free one")
    add("--at", help="exchange time at the start, ISO with zone; default: open of the last bar")
    add("--clock", default="manual", help="manual (default), real, or xN: N times real")
    add("--step-ms", type=int, default=0, help="every request moves the clock on by so much")
    add("--seed", type=int, default=0, help="of the faults that strike at random")
    add("--balance", action="append", default=[], metavar="ASSET=AMOUNT", help="free at the start")
    add("--filters", type=Path, help="YAML or JSON: default: {...}, symbols: {BTCUSD: {...}}")
    add("--spread-bps", default="0", help="ask minus bid in basis points of the bar's open")
    add("--levels", type=int, default=1, help="price levels on each side of the book")
    add("--level-bps", default="1", help="distance between levels, basis points")
    add("--level-quantity", help="base quantity on a level; default: without limit")
    add("--participation", help="share of a bar's volume that a side of the book offers")
    add("--maker-bps", default="10", help="fee of resting orders")
    add("--taker-bps", default="10", help="fee of taking orders")
    add("--fee-asset", default="received", help="received (default), quote, or a coin such as BNB")
    add("--fee-rate", action="append", default=[], metavar="QUOTE=PRICE", help="price of the fee coin")
    add("--decimals", type=int, default=8, help="places to which balances are kept")
    add("--enforce-limits", action="store_true", help="answer 429 beyond the weight and order limits")
    add("--weight-limit", type=int, default=6_000, help="request weight per minute of exchange time")
    add("--until-stdin-closes", action="store_true", help="also stop when standard input ends")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        _run(options)
    except MnemoError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> None:
    # aiohttp takes as long to import as everything else together; errors in options need not wait for it.
    session = build(options, os.environ)
    from live_bridge.loopback.server import LOOPBACK, listen, serve

    try:
        listener = listen(options.port)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise ConfigError(f"--port {options.port}: {reason}; use another, or 0 for any") from None
    port = listener.getsockname()[1]
    line = {"url": f"http://{LOOPBACK}:{port}", "port": port, "pid": os.getpid(), **_about(options, session)}

    def ready() -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    asyncio.run(serve(session, listener, ready, until_stdin_closes=options.until_stdin_closes))


def build(options: argparse.Namespace, environment: Mapping[str, str]) -> Session:
    """Return the exchange that `options` describe, ready to be served.

    Raises
    ------
    ConfigError, DataError
        If an option makes no sense or there are no bars to serve.
    """
    listings = read_listings(options.bars, exchanges=options.exchange)
    file = _filters(options.filters, listings)
    venue = Venue(
        listings=listings,
        filters={symbol: filters_of(listing, file) for symbol, listing in listings.items()},
        settings=_settings(options),
    )
    start = _start(options.at, listings)
    balances = _amounts("--balance", options.balance)
    return Session(
        venue=venue,
        state=State(time=start, balances={asset: Balance(amount) for asset, amount in balances.items()}),
        clock=Clock(start, speed=parse_speed(options.clock), step=options.step_ms),
        credentials=Credentials(
            environment.get("MNEMO_LOOPBACK_KEY", DEFAULT_KEY),
            environment.get("MNEMO_LOOPBACK_SECRET", DEFAULT_SECRET),
        ),
        plan=FaultPlan(options.seed),
    )


def _about(options: argparse.Namespace, session: Session) -> dict[str, Any]:
    return {
        "exchange": options.protocol,
        "time": to_datetime(session.clock.now()).isoformat(),
        "clock": options.clock,
        "markets": {symbol: dict(each.sources) for symbol, each in session.venue.listings.items()},
    }


def _filters(path: Path | None, listings: Mapping[str, Listing]) -> FilterFile:
    if path is None:
        return FilterFile()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--filters {path}: not readable: {error}") from None
    file = parse_document(text, FilterFile, source=str(path))
    unknown = sorted(set(file.symbols) - set(listings))
    if unknown:
        raise ConfigError(
            f"--filters {path}: symbols {', '.join(unknown)} are not stored; there are {', '.join(listings)}"
        )
    return file


def _settings(options: argparse.Namespace) -> VenueSettings:
    optional = {
        name: _decimal(f"--{name.replace('_', '-')}", value)
        for name in ("level_quantity", "participation")
        if (value := getattr(options, name)) is not None
    }
    if options.levels < 1 or not 0 <= options.decimals <= 18:
        raise ConfigError(
            f"--levels {options.levels}, --decimals {options.decimals}: expected at least 1, and 0 to 18"
        )
    return VenueSettings(
        spread_bps=_decimal("--spread-bps", options.spread_bps),
        levels=options.levels,
        level_bps=_decimal("--level-bps", options.level_bps),
        maker_bps=_decimal("--maker-bps", options.maker_bps),
        taker_bps=_decimal("--taker-bps", options.taker_bps),
        fee_asset=options.fee_asset,
        fee_rates=_amounts("--fee-rate", options.fee_rate),
        decimals=options.decimals,
        enforce_limits=options.enforce_limits,
        weight_limit=options.weight_limit,
        **optional,
    )


def _start(text: str | None, listings: Mapping[str, Listing]) -> int:
    if text is None:
        return max(int(series.finest.opened[-1]) for series in listings.values())
    try:
        instant = datetime.now(UTC) if text == "now" else datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--at {text!r} not understood: write for example 2019-06-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ConfigError(f"--at {text}: times are UTC and say so, write {text}Z")
    return to_milliseconds(instant)


def _amounts(option: str, pairs: Sequence[str]) -> dict[str, Decimal]:
    amounts = {}
    for pair in pairs:
        asset, equals, amount = pair.partition("=")
        if not asset or not equals:
            raise ConfigError(f"{option} {pair!r} not understood: write for example USDT=10000")
        amounts[asset] = _decimal(option, amount)
    return amounts


def _decimal(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ConfigError(f"{option} {text!r}: expected a number of at least zero")
    return number
