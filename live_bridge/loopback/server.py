"""The HTTP shell: sockets, faults that only a socket can show, and the control endpoints."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from live_bridge.loopback.control import CONTROLS, ControlError
from live_bridge.loopback.faults import Fault, spoil_klines
from live_bridge.loopback.protocol import Request, Response
from live_bridge.loopback.session import LogEntry, Session

__all__ = ["LOOPBACK", "listen", "serve"]

LOOPBACK: Final = "127.0.0.1"
_HANG_SECONDS: Final = 3_600.0
_GRACE_SECONDS: Final = 0.2
_CONTROL: Final = "/_control/"
_GATEWAY_PAGE: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


def listen(port: int) -> socket.socket:
    """Return a socket listening on 127.0.0.1 and `port`; 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


async def serve(
    session: Session, listener: socket.socket, ready: Callable[[], None], *, until_stdin_closes: bool = False
) -> None:
    """Serve until SIGTERM, SIGINT, ``POST /_control/shutdown`` or, if wanted, the end of standard input.

    `ready` is called once connections are accepted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), lambda: _read_or_stop(stop))
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _Handler(session, stop))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    ready()
    await stop.wait()
    await runner.cleanup()


def _read_or_stop(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4_096):
        stop.set()


class _Handler:
    """Turns HTTP into calls of the session, and faults into what a broken network does."""

    def __init__(self, session: Session, stop: asyncio.Event) -> None:
        self.session = session
        self.stop = stop

    async def __call__(self, http: web.Request) -> web.StreamResponse:
        host = (http.headers.get("Host") or "").rpartition(":")[0] or http.headers.get("Host")
        if host not in {LOOPBACK, "localhost"}:
            # A web page that was made to resolve to this machine cannot trade here.
            return web.Response(status=403, text="this exchange answers on 127.0.0.1 only")
        body = await http.text()
        if http.path.startswith(_CONTROL):
            return self._control(http, body)
        request = Request(
            http.method,
            http.path,
            http.rel_url.raw_query_string,
            body,
            http.headers.get("X-MBX-APIKEY", ""),
        )
        entry, faults = self.session.arrive(request)
        if not faults:
            return _answer(self.session.process(request, entry))
        return await self._faulty(http, request, entry, faults)

    def _control(self, http: web.Request, body: str) -> web.Response:
        name = http.path.removeprefix(_CONTROL)
        if name == "shutdown" and http.method == "POST":
            self.stop.set()
            return _json(200, {"stopping": True})
        found = CONTROLS.get((http.method, name))
        if found is None:
            known = ", ".join(sorted(f"{method} {_CONTROL}{each}" for method, each in CONTROLS))
            return _json(404, {"error": f"no {http.method} {http.path}; there are {known}"})
        try:
            return _json(200, found(self.session, json.loads(body) if body else {}))
        except (ControlError, ValueError) as error:
            return _json(400, {"error": str(error)})

    async def _faulty(
        self, http: web.Request, request: Request, entry: LogEntry, faults: list[Fault]
    ) -> web.StreamResponse:
        response: Response | None = None
        for fault in [each for each in faults if each.when == "before"]:
            if fault.kind in {"delay", "hang"}:
                await asyncio.sleep(fault.milliseconds / 1_000 or _HANG_SECONDS * (fault.kind == "hang"))
            if fault.kind == "late":
                self.session.postpone(request, entry, fault.milliseconds)
            if fault.kind in {"drop", "late", "reset", "hang"}:
                return _break_off(http, hard=fault.kind == "reset")
            response = self._instead(request, fault) or response
        shaping = [each for each in faults if each.when == "after" or each.kind in {"klines", "skew"}]
        shaping += [each for each in faults if each.when == "before" and each.kind in {"truncated", "cut"}]
        if response is None:
            response = self.session.process(request, entry)
        return await self._shaped(http, request, response, shaping)

    def _instead(self, request: Request, fault: Fault) -> Response | None:
        if fault.kind == "status":
            return _failure(fault)
        if fault.kind == "replay":
            return self.session.previous(request)
        texts = {"body": fault.body, "empty": "", "garbage": _GATEWAY_PAGE.format("Welcome")}
        if fault.kind in texts:
            return Response(200 if fault.kind != "body" else fault.status, texts[fault.kind])
        return None

    async def _shaped(
        self, http: web.Request, request: Request, response: Response, faults: list[Fault]
    ) -> web.StreamResponse:
        for fault in faults:
            if fault.kind in {"delay", "hang"}:
                await asyncio.sleep(fault.milliseconds / 1_000 or _HANG_SECONDS * (fault.kind == "hang"))
            if fault.kind in {"drop", "reset", "hang"}:
                return _break_off(http, hard=fault.kind == "reset")
            if fault.kind == "truncated":
                return await _truncated(http, response)
            if fault.kind == "klines" and isinstance(response.body, list):
                rows = spoil_klines(response.body, fault.klines or "", fault.count)
                response = replace(response, body=rows)
            elif fault.kind == "skew" and isinstance(response.body, dict):
                response = replace(response, body=_skewed(response.body, fault.milliseconds))
            elif fault.kind == "cut":
                text = _text(response)
                response = replace(response, body=text[: len(text) // 2])
            elif fault.when == "after":
                response = self._instead(request, fault) or response
        return _answer(response)


def _skewed(body: dict[str, Any], milliseconds: int) -> dict[str, Any]:
    if "serverTime" not in body:
        return body
    return {**body, "serverTime": body["serverTime"] + milliseconds}


def _failure(fault: Fault) -> Response:
    limited = fault.status in {418, 429}
    code = fault.code if fault.code is not None else -1003 if limited else None
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    if limited:
        headers.setdefault("Retry-After", "1")
    if code is None:
        return Response(fault.status, _GATEWAY_PAGE.format(fault.message or fault.status), headers)
    text = fault.message or ("Way too many requests; IP banned." if limited else "Injected failure.")
    return Response(fault.status, {"code": code, "msg": text}, headers)


def _text(response: Response) -> str:
    if isinstance(response.body, str):
        return response.body
    return json.dumps(response.body, separators=(",", ":"))


def _answer(response: Response) -> web.Response:
    kind = "text/html" if isinstance(response.body, str) and response.body[:1] == "<" else "application/json"
    return web.Response(
        status=response.status, text=_text(response), headers=dict(response.headers), content_type=kind
    )


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")


def _break_off(http: web.Request, *, hard: bool) -> web.Response:
    transport = http.transport
    if transport is not None:
        if hard:
            # Lingering for zero seconds makes the kernel send RST instead of FIN.
            endpoint = transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
    return web.Response(status=500)


async def _truncated(http: web.Request, response: Response) -> web.StreamResponse:
    body = _text(response).encode()
    stream = web.StreamResponse(status=response.status, headers=dict(response.headers))
    stream.content_type = "application/json"
    stream.content_length = len(body)
    await stream.prepare(http)
    await stream.write(body[: len(body) // 2])
    if http.transport is not None:
        http.transport.close()
    return stream
