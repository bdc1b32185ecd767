"""A running loopback exchange for tests, as a child process on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

__all__ = ["control", "loopback"]


@contextmanager
def loopback(bars: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve stored bars and yield the address; the child ends with the block.

    Parameters
    ----------
    bars : pathlib.Path
    options : str
        Of the command line.
    environment : mapping of str to str, optional
        Variables of the child beside those of this process.
    """
    command = [sys.executable, "-m", "live_bridge.loopback", "--bars", str(bars), "--as", "binance", *options]
    variables = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as child:
        try:
            assert child.stdout is not None
            yield str(json.loads(child.stdout.readline())["url"])
        finally:
            child.terminate()


def control(url: str, action: str, **body: object) -> None:
    """POST to the exchange's control endpoint."""
    request = Request(f"{url}/_control/{action}", data=json.dumps(body).encode(), method="POST")
    with urlopen(request, timeout=30) as answer:
        answer.read()
