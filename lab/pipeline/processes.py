"""Child processes: the loopback exchange and the bridge, which the lab starts but never imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from lab.core.errors import ConfigError, DataError, HaltedError, LockedError, MnemoError, VenueError
from lab.tracking import runs_page, tracking_uri

__all__ = ["LoopbackExchange", "loopback_exchange", "run_bridge", "serve_exchange", "serve_mlflow"]

_STOP_SECONDS = 5.0
# A child's exit code says of which kind its error was; this process ends with the same one.
_BY_EXIT_CODE = {
    kind.exit_code: kind for kind in (ConfigError, DataError, VenueError, HaltedError, LockedError)
}
_SERVER = (sys.executable, "-m", "live_bridge.loopback")


class LoopbackExchange:
    """A running loopback exchange: its address and its control endpoints.

    Parameters
    ----------
    url : str
        Address on 127.0.0.1, as the server printed it.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, action: str, **body: Any) -> dict[str, Any]:
        """POST to ``/_control/<action>``: clock, fault, balances, shutdown."""
        request = Request(  # noqa: S310 - the address is our own child's, on 127.0.0.1
            f"{self.url}/_control/{action}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 # nosec B310 # as above
            document: dict[str, Any] = json.loads(answer.read() or b"{}")
        return document


@contextmanager
def loopback_exchange(bars: Path, *options: str) -> Iterator[LoopbackExchange]:
    """Serve stored bars on 127.0.0.1 while the block runs.

    Parameters
    ----------
    bars : pathlib.Path
        Root folder whose ``data/bars`` are served.
    *options : str
        Further options of ``mnemo exchange serve``.

    Raises
    ------
    VenueError
        If the server does not come up.
    """
    command = [*_SERVER, "--bars", str(bars), "--as", "binance", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line.startswith("{"):
                _, complaint = server.communicate(timeout=_STOP_SECONDS)
                raise VenueError(f"the loopback exchange did not start: {complaint.strip() or 'no output'}")
            yield LoopbackExchange(json.loads(line)["url"])
        finally:
            server.terminate()
            try:
                server.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def run_bridge(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    codes: tuple[int, ...] = (0,),
) -> dict[str, Any]:
    """Run ``live-bridge`` to its end and return the JSON document it printed.

    Parameters
    ----------
    arguments : sequence of str
    environment : mapping of str to str, optional
    codes : tuple of int, optional
        Exit codes with which it prints a document.

    Raises
    ------
    MnemoError
        With the bridge's own message, of the class that has its exit code, if it failed.
    """
    command = [sys.executable, "-m", "live_bridge", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode not in codes:
        raise _BY_EXIT_CODE.get(done.returncode, MnemoError)(
            f"live-bridge {' '.join(arguments)} exited with {done.returncode}: {done.stderr.strip()}"
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def serve_exchange(options: Sequence[str]) -> int:
    """Run the loopback exchange in the foreground until it is stopped; returns its exit code."""
    return _in_foreground([*_SERVER, *options])


def serve_mlflow(root: Path, port: int, *, announce: Callable[[str], None] = lambda address: None) -> int:
    """Run the MLflow UI on 127.0.0.1 over the runs of `root` until it is stopped; returns its exit code.

    `announce` is told the address of the table of runs before the server starts.

    Raises
    ------
    ConfigError
        If nothing was logged under `root` yet.
    """
    if not (root / "mlruns" / "mlflow.db").exists():
        raise ConfigError(f"no runs under {root / 'mlruns'}; log one with 'mnemo demo' or 'mnemo backtest'")
    announce(f"http://127.0.0.1:{port}{runs_page(root)}")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", tracking_uri(root), "--workers", "1"]
    return _in_foreground(command, {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})


def _in_foreground(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a server until it ends; Ctrl-C and SIGTERM take it and its own children along, which is 0."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with subprocess.Popen(command, env=environment, start_new_session=True) as server:
            try:
                # Not one long wait: a signal that another thread receives would not end it.
                while server.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        server.wait(timeout=1.0)
            except KeyboardInterrupt:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    server.wait(timeout=_STOP_SECONDS)
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
                return 0
            return server.returncode
    finally:
        signal.signal(signal.SIGTERM, before)
