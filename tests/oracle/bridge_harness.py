"""Live ticks against a loopback exchange, each in a process of its own that can be killed anywhere.

A process is forked from one that has only imported: it starts with nothing but the files on disk, and dies by
SIGKILL at the point that a number names. Points are the seams that every tick passes: each request (before it
leaves, and after it was answered), each statement that SQLite runs, and each operation announced to
``feature_store.atomic.fault_point``, which are around every write and fsync of journal and witness.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.oracle.portfolios import UNLIMITED

START = datetime(2018, 6, 1, 0, 0, 1, tzinfo=UTC)
BALANCES = ("USD=9000", "BTC=0.5")
KEYS = {
    "MNEMO_ENV": "prod",
    "MNEMO_BINANCE_API_KEY": "loopback-key",
    "MNEMO_BINANCE_API_SECRET": "loopback-secret",
}
# Every request moves the exchange's clock, so that windows pass without anybody waiting.
OPTIONS = ("--exchange", "bitstamp", "--at", START.isoformat(), "--step-ms", "150")

_BARS_PER_POINT = 100

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


def write_configs(folder: Path, url: str, *, orders: str = "", settle: float = 20.0) -> Path:
    """Write a live bridge of two instances over three markets, and return its file."""
    every = ", ".join(f"{{exchange: bitstamp, symbol: {base}/USD}}" for base in ("LTC", "BTC", "ETH"))
    texts = {
        "trend": INSTANCE.format(
            family="time_series_momentum",
            name="trend",
            markets=every,
            parameters="{lookback_window: 60, vol_window: 20}",
        ),
        "leader": INSTANCE.format(family="dual_momentum", name="leader", markets=every, parameters="{}"),
        "trio": PORTFOLIO,
        "bridge": BRIDGE.format(url=url, settle=settle, orders=f", {orders}" if orders else ""),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "bridge.yaml"


def control(url: str, action: str, **body: object) -> dict[str, Any]:
    """POST to the exchange's control endpoint."""
    request = Request(f"{url}/_control/{action}", data=json.dumps(body).encode(), method="POST")
    with urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


def exchange_state(url: str) -> dict[str, Any]:
    """Return what the exchange knows, POSTs per client order id included."""
    with urlopen(f"{url}/_control/state", timeout=30) as answer:
        return dict(json.loads(answer.read()))


@dataclass(slots=True)
class Points:
    """Counts the points a process passes, and kills it at one of them."""

    kill_at: int = 0
    passed: int = 0
    names: list[str] = field(default_factory=list)
    _bars: int = 0

    def pass_by(self, name: str) -> None:
        """Pass a point."""
        self.passed += 1
        self.names.append(name)
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(self, statement: str) -> None:
        # Hundreds of received bars are one transaction: every hundredth of them is a point.
        bars = statement.startswith("INSERT INTO bars")
        self._bars += bars
        if not bars or self._bars % _BARS_PER_POINT == 0:
            self.pass_by(f"sql {statement.split(maxsplit=1)[0]}")

    def install(self) -> None:
        """Wrap the seams of this process."""
        import requests

        from feature_store.atomic import on_fault_point

        on_fault_point(lambda operation, _: self.pass_by(operation))
        send, connect = requests.Session.send, sqlite3.connect

        def sending(session: Any, request: Any, **options: Any) -> Any:
            self.pass_by(f"before {request.method} {request.path_url.split('?')[0]}")
            answer = send(session, request, **options)
            self.pass_by(f"after {request.method} {request.path_url.split('?')[0]}")
            return answer

        def connecting(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            connection.set_trace_callback(self._statement)
            return connection

        requests.Session.send = sending  # type: ignore[method-assign]
        sqlite3.connect = connecting  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: exit code (-9: killed), what it printed, and the points it passed."""

    code: int
    document: dict[str, Any]
    error: str
    points: tuple[str, ...]


def in_child(act: Callable[[], tuple[dict[str, Any], int]], *, kill_at: int = 0, scratch: Path) -> Ended:
    """Run `act` in a forked process, killed at a point; 0: not killed."""
    report = scratch / "child.json"
    report.unlink(missing_ok=True)
    _import_once()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _as_child(act, kill_at, report)
    _, status = os.waitpid(child, 0)
    told = json.loads(report.read_text()) if report.exists() else {}
    return Ended(
        os.waitstatus_to_exitcode(status),
        told.get("document", {}),
        told.get("error", ""),
        tuple(told.get("points", ())),
    )


def _import_once() -> None:
    """Import what every child needs; imports start no threads."""
    import live_bridge.ccxt_account
    import live_bridge.operations
    import live_bridge.runner  # noqa: F401
    from lab.data.venues import exchange_class

    exchange_class("binance")


def _as_child(act: Callable[[], tuple[dict[str, Any], int]], kill_at: int, report: Path) -> None:
    points = Points(kill_at)
    document: dict[str, Any] = {}
    error, code = "", 1
    try:
        points.install()
        document, code = act()
    except BaseException as failure:
        code = int(getattr(failure, "exit_code", 1))
        error = f"{type(failure).__name__}: {failure}"
    finally:
        points.kill_at = 0
        text = json.dumps({"document": document, "error": error, "points": points.names})
        report.write_text(text)
        os._exit(code)


def install_bars(folder: Path) -> Path:
    """Put the bundled bars under `folder`, and return their root.

    In a process of its own: this one must not have started the threads of Polars before it forks.
    """

    def act() -> tuple[dict[str, Any], int]:
        from lab.data import demo

        demo.install(folder / "store")
        return {}, 0

    assert in_child(act, scratch=folder).code == 0
    return folder / "store"


def tick(config: Path, root: Path, *, naive: bool = False) -> Callable[[], tuple[dict[str, Any], int]]:
    """Return one live tick as a function: the shipped run over the unmodified CCXT class."""

    def act() -> tuple[dict[str, Any], int]:
        from live_bridge import session
        from live_bridge.runner import run

        connect_plainly = session._account_through_ccxt

        def connected(loaded: Any) -> Any:
            account = connect_plainly(loaded, KEYS)
            # The loopback exchange counts no weights: nothing to be slow for.
            account._client.enableRateLimit = False
            return account

        if naive:
            from tests.oracle.naive_bridge import NaiveSender

            session.Sender = NaiveSender  # type: ignore[misc]
        return run(
            config, root=root, connect=connected, live=True, new_account=True, environment=KEYS, pause=_soon
        )

    return act


def _soon(seconds: float) -> None:
    import time

    time.sleep(min(seconds, 0.01))


def fresh(folder: Path, url: str) -> Path:
    """Return an empty root, and put the exchange back to its first moment."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    control(url, "reset")
    return folder


def finish(config: Path, root: Path, scratch: Path, *, naive: bool = False, runs: int = 3) -> Ended:
    """Run clean ticks until one says it is done; return the last."""
    ended = in_child(tick(config, root, naive=naive), scratch=scratch)
    for _ in range(runs - 1):
        if ended.code == 0:
            break
        ended = in_child(tick(config, root, naive=naive), scratch=scratch)
    return ended
