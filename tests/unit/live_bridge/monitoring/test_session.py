"""A run is told of completely, and telling never changes how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lab.core.errors import ConfigError, HaltedError, LockedError, VenueError
from live_bridge.monitoring.logs import FIELDS, RETENTION
from live_bridge.monitoring.session import Observation, incidents_of, observation_of, observed
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run

KEY = "canaryKEY0123456789abcdef"


class Collector(HTTPServer):
    """An HTTP service on this machine that keeps what it is sent."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.bodies: list[str] = []
        self.beats = 0


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._answer()

    def do_GET(self) -> None:
        self.server.beats += 1
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture(params=[200])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    server = Collector(request.param)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def observation(bridge: Path, collector: Collector | None = None) -> Observation:
    found = observation_of(bridge, root=bridge.parent)
    environment = {"MNEMO_BINANCE_API_KEY": KEY}
    if collector is not None:
        port = collector.server_port
        environment["MNEMO_ALERT_URLS"] = f"json://127.0.0.1:{port}/alerts"
        environment["MNEMO_HEARTBEAT_URL"] = f"http://127.0.0.1:{port}/beat"
    return Observation(
        found.settings, found.root, found.account, found.portfolio, found.exchange, found.state, environment
    )


def lines(bridge: Path, name: str = "bridge.jsonl") -> list[dict[str, Any]]:
    path = bridge.parent / "data/live/logs" / name
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(bridge: Path) -> dict[str, float]:
    [path] = (bridge.parent / "data/live/metrics").glob("*.prom")
    rows = [line.rsplit(" ", 1) for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


def raising(error: Exception) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_a_tick_leaves_log_lines_and_metrics_that_say_what_its_document_says(
    bridge: Path, market_at: Callable[..., RecordedMarket]
) -> None:
    act = partial(run, bridge, root=bridge.parent, connect=lambda _: market_at(400))
    document, code = observed(act, observation(bridge))
    assert code == 0
    written = lines(bridge)
    assert all(tuple(line) == FIELDS for line in written)
    assert len({line["correlation_id"] for line in written}) == 1
    orders = [line for line in written if line["message"] == "order"]
    assert [line["trace_id"] for line in orders] == [order["id"] for order in document["orders"]] != []
    values = metrics(bridge)
    labels = 'account="main",portfolio="small"'
    assert values[f"mnemo_bridge_up{{{labels}}}"] == 1
    name = 'mnemo_bridge_equity{account="main",currency="USDT",portfolio="small"}'
    assert values[name] == pytest.approx(document["state"]["equity"], rel=1e-12)
    fills = next(value for name, value in values.items() if name.startswith("mnemo_bridge_fills_total"))
    assert fills == len(document["orders"])


@pytest.mark.parametrize(
    ("error", "code", "severity"),
    [
        (VenueError("no answer"), "EXCHANGE_FAILED", "WARNING"),
        (HaltedError("halted"), "HALTED", "CRITICAL"),
        (ConfigError("a key"), "CONFIG_FAULT", "CRITICAL"),
        (ZeroDivisionError("a bug"), "UNEXPECTED_ERROR", "CRITICAL"),
    ],
    ids=["venue", "halted", "config", "bug"],
)
def test_an_error_is_sent_and_raised(
    bridge: Path, collector: Collector, error: Exception, code: str, severity: str
) -> None:
    with pytest.raises(type(error)):
        observed(raising(error), observation(bridge, collector))
    [body] = collector.bodies
    assert f"{severity} {code}" in body
    assert collector.beats == 0
    assert [line["details"]["code"] for line in lines(bridge, "incidents.jsonl")] == [code]
    with pytest.raises(type(error)):
        observed(raising(error), observation(bridge, collector))
    assert len(collector.bodies) == 1


def test_a_run_that_found_the_lock_held_alarms_nobody(bridge: Path, collector: Collector) -> None:
    with pytest.raises(LockedError):
        observed(raising(LockedError("held")), observation(bridge, collector))
    assert collector.bodies == []


@pytest.mark.parametrize("collector", [500], indirect=True, ids=["failing"])
def test_what_did_not_arrive_is_sent_by_the_next_run(bridge: Path, collector: Collector) -> None:
    for _ in range(2):
        with pytest.raises(VenueError):
            observed(raising(VenueError("no answer")), observation(bridge, collector))
    assert len(collector.bodies) == 2
    assert any("could not be delivered" in line["message"] for line in lines(bridge))


def test_a_good_run_beats_and_telling_cannot_change_its_end(bridge: Path, collector: Collector) -> None:
    document: dict[str, Any] = {"tick": "t", "reasons": [], "state": None}
    assert observed(lambda: (document, 0), observation(bridge, collector)) == (document, 0)
    assert collector.beats == 1
    blocked = bridge.parent / "data/live/metrics"
    for path in blocked.iterdir():
        path.unlink()
    blocked.rmdir()
    blocked.write_text("a file where a folder should be")
    assert observed(lambda: (document, 0), observation(bridge, collector)) == (document, 0)
    assert any("telling of the run failed" in line["message"] for line in lines(bridge))


def test_secrets_stay_out_of_logs_and_alerts(bridge: Path, collector: Collector) -> None:
    with pytest.raises(VenueError):
        observed(raising(VenueError(f"signed with {KEY}")), observation(bridge, collector))
    folder = bridge.parent / "data/live/logs"
    told = "".join(path.read_text() for path in folder.iterdir()) + "".join(collector.bodies)
    assert "signed with" in told
    assert KEY not in told


def test_reasons_and_modes_are_incidents_too() -> None:
    document = {
        "incidents": [
            {"code": "FOREIGN_POSITION", "severity": "WARNING", "detail": "x", "symbol": "BTC/USDT"}
        ],
        "reasons": ["RECOVERED tick: died", "ALREADY_DECIDED: nothing", "SHORT_HISTORY trend: 3 bars"],
        "state": {"mode": "REDUCE_ONLY"},
    }
    codes = [incident.code for incident in incidents_of(document)]
    assert codes == ["FOREIGN_POSITION", "RECOVERED", "SHORT_HISTORY", "REDUCE_ONLY"]


def test_a_configuration_that_cannot_be_read_is_told_of_as_well(tmp_path: Path) -> None:
    found = observation_of(tmp_path / "missing.yaml", root=tmp_path)
    assert found.portfolio == "missing"
    assert found.settings.alert_from == "WARNING"


def test_logs_are_bounded() -> None:
    assert sum(size * (kept + 1) for size, kept in RETENTION.values()) < 1_000_000_000
