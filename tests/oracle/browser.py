"""A page in headless Chromium, spoken to through its debugging protocol: local files with the network off."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


class Page:
    """One tab; `events` holds everything that Chromium reported while calls were answered."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        number = self._calls
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._socket.read_message() or "{}")
            if message.get("id") == number:
                return dict(message.get("result", {}))
            self.events.append(message)

    async def value(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 60.0) -> None:
        for _ in range(int(seconds / 0.05)):
            if await self.value(expression):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    async def picture(self, file: Path, *, whole: bool = False) -> Path:
        """Save what the tab shows as PNG; `whole`: the page down to its end."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(answer["data"]))
        return file

    async def go(self, url: str) -> None:
        """Open an address in the same tab."""
        await self.call("Page.navigate", url=url)

    def requests(self) -> list[str]:
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def complaints(self) -> list[Any]:
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in kinds]


@asynccontextmanager
async def opened(
    target: Path | str, *, width: int = 1200, height: int = 900, dark: bool = False
) -> AsyncIterator[Page]:
    """Open a local file with the network off, or an address on this machine."""
    assert CHROMIUM is not None
    local = isinstance(target, Path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        socket: WebSocketClientConnection | None = None
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                tabs = json.load(answer)
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            socket = await websocket_connect(address, max_message_size=1 << 27)
            page = Page(socket)
            for domain in ("Page", "Network", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            await page.call(
                "Network.emulateNetworkConditions",
                offline=local,
                latency=0,
                downloadThroughput=0 if local else -1,
                uploadThroughput=0 if local else -1,
            )
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            await page.call("Emulation.setEmulatedMedia", features=[scheme])
            await page.call(
                "Page.navigate", url=target.resolve().as_uri() if isinstance(target, Path) else target
            )
            yield page
        finally:
            if socket is not None:
                socket.close()
                while await socket.read_message() is not None:
                    pass
            browser.terminate()
            browser.wait(10)


async def _port(file: Path) -> int:
    for _ in range(600):
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        await asyncio.sleep(0.05)
    raise AssertionError("chromium did not start")
