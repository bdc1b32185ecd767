"""Live ticks against a loopback exchange: the shipped run, observed, over the unmodified CCXT class."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import Request, urlopen

from tests.oracle.canaries import KEY, SECRET
from tests.oracle.loopback_server import loopback
from tests.oracle.portfolios import UNLIMITED

START = datetime(2018, 6, 1, 0, 0, 1, tzinfo=UTC)
BALANCES = ("USD=9000", "BTC=0.5")
KEYS = {
    "MNEMO_ENV": "prod",
    "MNEMO_BINANCE_API_KEY": KEY,
    "MNEMO_BINANCE_API_SECRET": SECRET,
}
# Every request moves the exchange's clock, so that windows pass without anybody waiting.
OPTIONS = ("--exchange", "bitstamp", "--step-ms", "150")

INSTANCE = """
family: {family}
strategy_id: {name}
version: 1.0.0
mode: live
timeframe: 1d
markets: [{markets}]
parameters: {parameters}
"""
PORTFOLIO = f"""
portfolio_id: trio
reference_currency: USD
capital: 10000
instances:
  - {{config: trend.yaml, allocation: 0.5}}
  - {{config: leader.yaml, allocation: 0.5}}
{UNLIMITED}
"""
BRIDGE = """
exchange: {{id: binance, base_url: "{url}"}}
market_map: {{"bitstamp:BTC/USD": BTC/USD, "bitstamp:ETH/USD": ETH/USD, "bitstamp:LTC/USD": LTC/USD}}
portfolio: trio.yaml
mode: live
adopt: true
recv_window_ms: 1500
orders: {{lag_ms: 300, settle_s: {settle}{orders}}}
"""


@contextmanager
def exchange(store: Path, *, start: datetime = START) -> Iterator[str]:
    """Serve the bundled bars to the holder of :data:`KEYS`, and yield the address."""
    pairs = [word for balance in BALANCES for word in ("--balance", balance)]
    theirs = {"MNEMO_LOOPBACK_KEY": KEY, "MNEMO_LOOPBACK_SECRET": SECRET}
    with loopback(store, *OPTIONS, "--at", start.isoformat(), *pairs, environment=theirs) as url:
        yield url


def write_configs(
    folder: Path, url: str, *, orders: str = "", settle: float = 20.0, leader: str = "{}"
) -> Path:
    """Write a live bridge of two instances over three markets, and return its file."""
    every = ", ".join(f"{{exchange: bitstamp, symbol: {base}/USD}}" for base in ("LTC", "BTC", "ETH"))
    texts = {
        "trend": INSTANCE.format(
            family="time_series_momentum",
            name="trend",
            markets=every,
            parameters="{lookback_window: 60, vol_window: 20}",
        ),
        "leader": INSTANCE.format(family="dual_momentum", name="leader", markets=every, parameters=leader),
        "trio": PORTFOLIO,
        "bridge": BRIDGE.format(url=url, settle=settle, orders=f", {orders}" if orders else ""),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "bridge.yaml"


def control(url: str, action: str, /, **body: object) -> dict[str, Any]:
    """POST to the exchange's control endpoint."""
    request = Request(f"{url}/_control/{action}", data=json.dumps(body).encode(), method="POST")
    with urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


def exchange_state(url: str) -> dict[str, Any]:
    """Return what the exchange knows, POSTs per client order id included."""
    with urlopen(f"{url}/_control/state", timeout=30) as answer:
        return dict(json.loads(answer.read()))


def tick(
    config: Path,
    root: Path,
    *,
    naive: bool = False,
    alerts: str = "",
    keys: Mapping[str, str] = MappingProxyType(KEYS),
    client: Callable[[Any], None] | None = None,
    **options: Any,
) -> Callable[[], tuple[dict[str, Any], int]]:
    """Return one live tick as a function.

    Parameters
    ----------
    config, root : pathlib.Path
    naive : bool
        With the sender that sends an unclear order again.
    alerts : str
        Where alerts go.
    keys : mapping of str to str
        The environment's part of where keys come from.
    client : callable, optional
        Changes the CCXT exchange before it is used.
    options
        Further ones of :func:`live_bridge.runner.run`.
    """

    def act() -> tuple[dict[str, Any], int]:
        from live_bridge import session
        from live_bridge.monitoring.redaction import remember
        from live_bridge.monitoring.session import observation_of, observed
        from live_bridge.runner import run

        # The command knows those of its environment; here they are given to a part of it.
        remember(*(keys[name] for name in keys if name.endswith(("_API_KEY", "_API_SECRET"))))
        connect_plainly = session._account_through_ccxt

        def connected(loaded: Any) -> Any:
            account = connect_plainly(loaded, keys)
            # The loopback exchange counts no weights: nothing to be slow for.
            account._client.enableRateLimit = False
            if client is not None:
                client(account._client)
            return account

        if naive:
            from tests.oracle.naive_bridge import NaiveSender

            session.Sender = NaiveSender  # type: ignore[misc]
        chosen = {"live": True, "new_account": True, "environment": keys, "pause": _soon, **options}
        told = replace(observation_of(config, root=root), environment={**keys, "MNEMO_ALERT_URLS": alerts})
        return observed(lambda: run(config, root=root, connect=connected, **chosen), told)

    return act


def _soon(seconds: float) -> None:
    import time

    time.sleep(min(seconds, 0.01))
