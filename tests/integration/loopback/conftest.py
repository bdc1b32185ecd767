"""The loopback exchange as a child process, and the unmodified ccxt.binance pointed at it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import ccxt
import polars as pl
import pytest

from lab.data.venues import ccxt_options
from tests.oracle.loopback import bars

START = "2024-01-01T00:00:00Z"
HOURS = 48


class Server:
    """A running exchange: its first line, its control endpoints, and clients of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.line = json.loads(process.stdout.readline())
        self.url = self.line["url"]
        self.line_ms = round(datetime.fromisoformat(self.line["time"]).timestamp() * 1_000)

    def control(self, name: str, **body: Any) -> dict[str, Any]:
        """POST to a control endpoint; GET for the state."""
        method = "GET" if name == "state" else "POST"
        request = Request(f"{self.url}/_control/{name}", json.dumps(body).encode(), method=method)
        with urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def client(self, *, settings: dict[str, Any] | None = None, **arguments: Any) -> ccxt.binance:
        """A new ccxt.binance with keys, knowing the clock difference."""
        made = ccxt.binance(
            {
                **ccxt_options(self.url),
                "apiKey": "loopback-key",
                "secret": "loopback-secret",
                "enableRateLimit": False,
                **arguments,
            }
        )
        made.options.update(settings or {})
        made.load_time_difference()
        return made

    def move(self, client: ccxt.binance, hours: float) -> None:
        """Move the exchange's clock on, and let the client ask for the time again."""
        self.control("clock", advance_ms=round(hours * 3_600_000))
        client.load_time_difference()


@pytest.fixture(scope="session")
def bars_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of hourly bars: BTC falls from 1000 to 118.75, ETH is flat."""
    folder = tmp_path_factory.mktemp("bars")
    parts = [
        bars([100 + 900 / (hour + 1) for hour in range(HOURS)]).with_columns(symbol=pl.lit("BTC/USDT")),
        bars([50.0] * HOURS).with_columns(symbol=pl.lit("ETH/USDT")),
    ]
    pl.concat(parts).write_parquet(folder / "bars.parquet")
    return folder


def _command(folder: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "live_bridge.loopback", "--bars", str(folder),
        "--at", START, "--balance", "USDT=10000", "--until-stdin-closes", *options,
    ]  # fmt: skip


@pytest.fixture
def start(bars_folder: Path) -> Iterator[Callable[..., Server]]:
    """Start an exchange with further options; it is stopped when the test ends."""
    running: list[subprocess.Popen[str]] = []

    def run(*options: str) -> Server:
        command = _command(bars_folder, *options)
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return Server(running[-1])

    yield run
    for process in running:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="session")
def shared_server(bars_folder: Path) -> Iterator[Server]:
    """One exchange for all tests that leave it as it was started."""
    command = _command(bars_folder)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Server(process)
        process.terminate()


@pytest.fixture
def server(shared_server: Server) -> Server:
    """An exchange whose clock stands at START, as if just started."""
    shared_server.control("reset")
    return shared_server


@pytest.fixture
def exchange(server: Server) -> ccxt.binance:
    """ccxt.binance against it, markets loaded."""
    made = server.client()
    made.load_markets()
    return made
