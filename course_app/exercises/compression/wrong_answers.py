"""Known wrong answers, each a small change to a good one, as learners make them."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder

from course_app.exercises.compression import failures
from course_app.exercises.compression.baseline import XLSX, guides_line, service
from course_app.exercises.compression.choices import LINKS
from course_app.exercises.compression.reference import CompressForTheWorld, create_app, levels
from course_app.grading import WrongAnswer
from course_app.grading.failures import TooLittleGain

NOT_XLSX = (*DEFAULT_EXCLUDED_CONTENT_TYPES, XLSX)


def _starlette(postgres_dsn: str, **options: Any) -> FastAPI:
    """The good answer, but for an option."""
    good = {"minimum_size": 1000, "compresslevel": 1, "exclude_content_types": NOT_XLSX}
    app = service(postgres_dsn)
    app.add_middleware(CompressForTheWorld, **{**good, **options})
    return app


def compresses_small_answers(postgres_dsn: str) -> FastAPI:
    return _starlette(postgres_dsn, minimum_size=0)


def compresses_spreadsheets(postgres_dsn: str) -> FastAPI:
    return _starlette(postgres_dsn, exclude_content_types=DEFAULT_EXCLUDED_CONTENT_TYPES)


def highest_level(postgres_dsn: str) -> FastAPI:
    return _starlette(postgres_dsn, compresslevel=9)


def never_in_a_thread(postgres_dsn: str) -> FastAPI:
    return _starlette(postgres_dsn, thread_minimum_size=10**9)


def compresses_only_long_lists(postgres_dsn: str) -> FastAPI:
    return _starlette(postgres_dsn, minimum_size=1_000_000)


def compresses_for_all(postgres_dsn: str) -> FastAPI:
    app = service(postgres_dsn)
    app.add_middleware(
        GZipMiddleware, minimum_size=1000, compresslevel=1, exclude_content_types=NOT_XLSX
    )
    return app


def _by_hand(
    postgres_dsn: str,
    *,
    pack: Callable[[bytes, int], bytes] = gzip.compress,
    asks: bool = True,
    varies: bool = True,
) -> FastAPI:
    """A middleware as one writes it in five minutes, and one thing more that is wrong."""
    app = service(postgres_dsn)

    @app.middleware("http")
    async def compress(request: Request, call_next: Any) -> Any:
        answer = await call_next(request)
        if request.url.path.startswith("/internal/"):
            return answer
        body = b"".join([piece async for piece in answer.body_iterator])
        headers = {k: v for k, v in answer.headers.items() if k != "content-length"}
        if len(body) >= 1000 and headers["content-type"] != XLSX:
            accepted = "gzip" in request.headers.get("accept-encoding", "")
            if varies or not accepted:
                headers["vary"] = "Accept-Encoding"
            if accepted or not asks:
                body = await asyncio.to_thread(pack, body, 1)
                headers["content-encoding"] = "gzip"
        return Response(body, answer.status_code, headers)

    return app


def collects_streams(postgres_dsn: str) -> FastAPI:
    return _by_hand(postgres_dsn)


class _Unflushed(GZipResponder):
    """Sends what the compressor gives, and forgets to ask for what it holds back."""

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        packed = self.compressor.compress(body)
        return packed if more_body else packed + self.compressor.flush()


def holds_text_back(postgres_dsn: str) -> Any:
    """The heads of the answer and of gzip leave at once, and all of the text at the end."""
    good, feed = create_app(postgres_dsn), _Unflushed(service(postgres_dsn), 1000, 1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (feed if scope.get("path") == "/feed" else good)(scope, receive, send)

    return app


def does_not_ask(postgres_dsn: str) -> FastAPI:
    return _by_hand(postgres_dsn, asks=False)


def forgets_vary(postgres_dsn: str) -> FastAPI:
    return _by_hand(postgres_dsn, varies=False)


def deflate_called_gzip(postgres_dsn: str) -> FastAPI:
    return _by_hand(postgres_dsn, pack=zlib.compress)


def cut_short(postgres_dsn: str) -> FastAPI:
    """Forgets the flush at the end, where the last bytes and the check sum are."""

    def pack(body: bytes, level: int) -> bytes:
        return zlib.compressobj(level, zlib.DEFLATED, 31).compress(body)

    return _by_hand(postgres_dsn, pack=pack)


def keeps_compressed_answers(postgres_dsn: str) -> Any:
    """Compresses each URL once, and is very fast."""
    app, kept = create_app(postgres_dsn), dict[Any, list[Any]]()

    async def once(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        accepts = dict(scope["headers"]).get(b"accept-encoding")
        key = (scope["path"], scope["query_string"], accepts)
        messages: list[Any] = []

        async def note(message: Any) -> None:
            messages.append(dict(message))
            await send(message)

        if key in kept:
            for message in kept[key]:
                await send(dict(message))
        else:
            await app(scope, receive, note)
            kept[key] = messages

    return once


_GOOD = {"levels": levels}

WRONG_ANSWERS = (
    WrongAnswer("as it was", guides_line, failures.CompressesDense, points=0),
    WrongAnswer("good levels alone", guides_line, failures.CompressesDense, _GOOD, points=4.5),
    WrongAnswer("nothing compressed", service, failures.NotCompressed, _GOOD),
    WrongAnswer("long lists only", compresses_only_long_lists, failures.NotCompressed, _GOOD),
    WrongAnswer("another format's bytes", deflate_called_gzip, failures.NotDecodable, _GOOD),
    WrongAnswer("no flush at the end", cut_short, failures.NotDecodable, _GOOD),
    WrongAnswer("gzip for everybody", does_not_ask, failures.NotAsked, _GOOD),
    WrongAnswer("no Vary", forgets_vary, failures.ForgetsVary, _GOOD),
    WrongAnswer("compressed once", keeps_compressed_answers, failures.StaleAnswer, _GOOD),
    WrongAnswer("small answers, too", compresses_small_answers, failures.CompressesSmall, _GOOD),
    WrongAnswer("spreadsheets, too", compresses_spreadsheets, failures.CompressesDense, _GOOD),
    WrongAnswer("neighbours, too", compresses_for_all, failures.CompressesForNeighbours, _GOOD),
    WrongAnswer("on the loop", never_in_a_thread, failures.BlocksLoop, _GOOD),
    WrongAnswer("the highest level", highest_level, TooLittleGain, _GOOD),
    WrongAnswer(
        "levels left open", create_app, failures.NoChoice, {"levels": dict.fromkeys(LINKS, ...)}
    ),
    WrongAnswer(
        "one level for all",
        create_app,
        failures.WrongLevel,
        {"levels": {"phone": 1, "office": 1, "indexer": 1}},
    ),
    WrongAnswer("streams collected", collects_streams, failures.HoldsStream, _GOOD),
    WrongAnswer("streams not flushed", holds_text_back, failures.HoldsStream, _GOOD),
)
