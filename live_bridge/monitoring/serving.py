"""The metrics over HTTP, on this machine only, for as long as ``watch`` runs."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from lab.core.errors import ConfigError

__all__ = ["metrics_server"]

LOOPBACK: Final = "127.0.0.1"


def metrics_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Serve the text files of `folder` at ``/metrics`` on this machine; 0 takes any free port.

    Raises
    ------
    ConfigError
        If the port cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = b"".join(path.read_bytes() for path in sorted(folder.glob("*.prom")))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise ConfigError(
            f"--metrics-port {port}: cannot listen on {LOOPBACK} ({error.strerror or error}); "
            "name another port"
        ) from None
    Thread(target=server.serve_forever, daemon=True).start()
    return server
