"""The flag service only looks whether a number can be divided; a benchmark of the bare framework
on this machine does several times as many requests per second. We have no database, no locks and
tiny answers. The platform team's standard parts take "no time" each, they have measured it."""

import logging
import time
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware, base
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTES = [{"method": "GET", "path": "/flags/{flag}", "values": {"flag": [1, 5000]}}]

log, ID = logging.getLogger("flags"), "x-correlation-id"


class AccessLog(base.BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: base.RequestResponseEndpoint) -> Response:
        log.debug("%s %s", request.method, request.url.path)
        return await call_next(request)


class Timing(base.BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: base.RequestResponseEndpoint) -> Response:
        begin = time.perf_counter()
        response = await call_next(request)
        response.headers["server-timing"] = f"app;dur={(time.perf_counter() - begin) * 1e3:.2f}"
        return response


class CorrelationId(base.BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: base.RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers[ID] = request.headers.get(ID) or uuid4().hex
        return response


class Security(base.BaseHTTPMiddleware):
    constant = {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}

    async def dispatch(self, request: Request, call_next: base.RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(self.constant)
        return response


class NoStore(Security):
    constant = {"cache-control": "no-store"}


class Service(Security):
    constant = {"x-service": "flags 2.1"}


class AllInOne:  # what the six do, spoken in ASGI itself
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers, spent = MutableHeaders(scope=message), time.perf_counter() - begin
                headers.update(Security.constant | NoStore.constant | Service.constant)
                headers[ID] = Headers(scope=scope).get(ID) or uuid4().hex
                headers["server-timing"] = f"app;dur={spent * 1e3:.2f}"
                log.debug("%s %s", scope["method"], scope["path"])
            await send(message)

        begin = time.perf_counter()
        await self.app(scope, receive, send_on if scope["type"] == "http" else send)


def _build(parts: list[type]) -> FastAPI:
    app = FastAPI(middleware=[Middleware(part) for part in parts])

    @app.get("/flags/{flag}")
    async def read_flag(flag: int) -> dict[str, int | bool]:
        return {"flag": flag, "on": flag % 3 == 0}

    return app


def create_app() -> FastAPI:
    return _build([AccessLog, Timing, CorrelationId, Security, NoStore, Service])


def create_cured() -> FastAPI:
    return _build([AllInOne])
