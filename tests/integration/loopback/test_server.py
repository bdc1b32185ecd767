"""The process: its first line, its end, and who may speak to it."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.integration


def test_it_says_where_it_is_and_stops_when_told(start):
    server = start()
    assert {"url", "port", "pid", "markets", "time", "exchange"} <= set(server.line)
    assert server.line["pid"] == server.process.pid
    assert server.control("shutdown") == {"stopping": True}
    assert server.process.wait(timeout=10) == 0


def test_it_stops_with_its_parent(start):
    server = start()
    server.process.stdin.close()
    assert server.process.wait(timeout=10) == 0
    server.process.stdin = None


def test_it_stops_although_a_request_hangs(start):
    server = start()
    server.control("fault", kind="hang", path="/api/v3/ping")
    with socket.create_connection(("127.0.0.1", server.line["port"])) as client:
        client.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while server.control("state")["requests"] == 0:
            pass
        server.process.terminate()
        assert server.process.wait(timeout=10) == 0


def test_it_listens_on_loopback_only(server):
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [address for _, address, _, state, *_ in sockets if state == "0A"]
    port = f"{server.line['port']:04X}"
    # 127.0.0.1, least significant byte first.
    assert [address for address in listening if address.endswith(f":{port}")] == [f"0100007F:{port}"]


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/api/v3/ping", "GET", "evil.example", 403),
        ("/_control/shutdown", "POST", "evil.example:80", 403),
        ("/_control/nothing", "POST", None, 404),
        ("/_control/clock", "POST", None, 400),
        ("/fapi/v1/exchangeInfo", "GET", None, 404),
    ],
)
def test_wrong_requests(server, path, method, host, status):
    headers = {"Host": host} if host else {}
    request = Request(server.url + path, b"not json" if method == "POST" else None, headers, method=method)
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=10)
    assert refused.value.code == status
    refused.value.close()


def test_a_port_in_use_is_one_line(server, bars_folder):
    command = [
        sys.executable, "-m", "live_bridge.loopback",
        "--bars", str(bars_folder), "--port", str(server.line["port"]),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"--port {server.line['port']}: Address already in use")


def test_the_bridge_does_not_load_the_server():
    code = "import json, sys, live_bridge.ccxt_exchange; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert not [name for name in loaded if name.startswith(("live_bridge.loopback", "aiohttp"))]
