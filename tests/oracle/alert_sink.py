"""Takes the alerts that a bridge sends, and appends each body to a file, one a line.

``python -m tests.oracle.alert_sink FILE`` prints its port and serves on 127.0.0.1 until it is ended.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

__all__ = ["alert_sink"]


@contextmanager
def alert_sink(file: Path) -> Iterator[str]:
    """Take alerts while the block runs, and yield the address to send them to."""
    file.touch()
    command = [sys.executable, "-m", "tests.oracle.alert_sink", str(file)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield f"json://127.0.0.1:{int(child.stdout.readline())}/"
        finally:
            child.terminate()


def _serve(file: Path) -> None:
    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with file.open("ab") as lines:
                lines.write(body.replace(b"\n", b" ") + b"\n")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Sink) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
