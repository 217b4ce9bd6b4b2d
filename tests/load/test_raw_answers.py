"""Answers of every form, right and wrong, whole and in pieces, and connections that end."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from raw_server import Handler, Serve

from course_app.load import (
    Generator,
    LoadResult,
    NoAnswer,
    NobodyListens,
    as_workload,
    get,
    head,
    mix,
    uniform,
)
from course_app.load import Request as LoadRequest

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nx-trailer: 1\r\n\r\n"
)


async def request_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(*answers: bytes | Sequence[bytes], close: bool = False) -> Handler:
    """Gives these answers in turn, over all connections; an answer in pieces is sent in pieces."""
    turns = itertools.cycle(answers)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            answer = next(turns)
            for piece in (answer,) if isinstance(answer, bytes) else answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002 if len(piece) < len(answer) else 0)
            if close:
                return

    return handler


def load(
    generator: Generator,
    url: str,
    workload: str | LoadRequest = "/",
    *,
    requests: int = 20,
    concurrency: int = 1,
    timeout_seconds: float = 5.0,
    resend: bool = False,
) -> LoadResult:
    target = generator.connect(
        url,
        workload,
        concurrency=concurrency,
        timeout_seconds=timeout_seconds,
        resend=resend,
    )
    try:
        return generator.closed(target, requests=requests)
    finally:
        generator.disconnect(target)


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN,
        (PLAIN[:7], PLAIN[7:]),
        tuple(PLAIN[i : i + 1] for i in range(len(PLAIN))),
        (PLAIN[:-5], PLAIN[-5:]),
        PLAIN.replace(b"Content-Length", b"cONTENT-lENGTH"),
        CHUNKED,
        tuple(CHUNKED[i : i + 7] for i in range(0, len(CHUNKED), 7)),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN,
        PLAIN.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n"),
    ],
)
def test_an_answer_of_any_form_is_read_on_one_connection(
    generator: Generator, serve: Serve, answer: bytes | Sequence[bytes]
) -> None:
    result = load(generator, serve(answering(answer)), get("/", expect_body="hello"))
    assert (result.completed, result.error_count, result.reconnects) == (20, 0, 0), result.errors


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"),
        CHUNKED.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"),
        PLAIN.replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\nserver: old\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nserver: old\r\n\r\n" + b"x" * 300_000 + b"hello",
    ],
)
def test_an_announced_end_of_the_connection_is_no_error(
    generator: Generator, serve: Serve, answer: bytes
) -> None:
    url = serve(answering(answer, close=True))
    result = load(generator, url, get("/", expect_body="hello"), concurrency=2)
    assert (result.completed, result.error_count) == (20, 0), result.errors
    assert 18 <= result.reconnects <= 20


def test_answers_without_a_body_do_not_wait_for_one(generator: Generator, serve: Serve) -> None:
    announced = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"
    silent = b"HTTP/1.1 200 OK\r\nserver: x\r\n\r\n"
    for answer in (announced, silent, CHUNKED[: CHUNKED.index(b"3\r\n")]):
        result = load(generator, serve(answering(answer)), head("/"))
        assert (result.completed, result.error_count, result.reconnects) == (20, 0, 0)
    for status in (204, 304):
        answer = b"HTTP/1.1 %d Nothing\r\nserver: x\r\n\r\n" % status
        result = load(generator, serve(answering(answer)), get("/", expect_status=status))
        assert (result.completed, result.error_count) == (20, 0)
        assert result.status_counts() == {status: 20}


def test_a_huge_body_is_counted_and_searched_across_its_pieces(
    generator: Generator, serve: Serve
) -> None:
    body = b"x" * 70_000 + b"needle" + b"y" * 5_000_000
    url = serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body))
    result = load(generator, url, get("/", expect_body="needle"), requests=5)
    assert (result.completed, result.error_count) == (5, 0)
    assert result.bytes_received > 5 * len(body)
    result = load(generator, url, get("/", expect_body="needles"), requests=5)
    assert (result.completed, result.errors_by_kind) == (0, {"body": 5})


def test_a_wrong_status_is_an_error_with_an_example(generator: Generator, serve: Serve) -> None:
    broken = b"HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\noops"
    url = serve(answering(PLAIN, PLAIN, PLAIN, broken))
    result = load(generator, url, "/users/7", requests=40)
    assert (result.completed, result.error_count) == (30, 10)
    assert [example.count for example in result.errors] == [10]
    example = result.errors[0]
    assert (example.kind, example.status) == ("status", 500)
    assert str(example) == "GET /users/7: expected status 200, got status 500: oops"


def test_a_missing_text_is_an_error_with_an_example(generator: Generator, serve: Serve) -> None:
    result = load(generator, serve(answering(PLAIN, CHUNKED)), get("/", expect_body='"id":1'))
    assert result.errors_by_kind == {"body": 20}
    assert str(result.errors[0]) == (
        "GET /: expected status 200 and '\"id\":1' in the body, got status 200: hello"
    )


def test_the_expected_text_must_stand_in_the_body_not_in_the_head(
    generator: Generator, serve: Serve
) -> None:
    result = load(generator, serve(answering(PLAIN)), get("/", expect_body="Content"))
    assert result.errors_by_kind == {"body": 20}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\n",
        PLAIN + b"more",
        PLAIN + PLAIN,
        CHUNKED.replace(b"3\r\nhel", b"zz\r\nhel"),
        CHUNKED + PLAIN,
        b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    ],
)
def test_garbage_is_an_error_and_the_connection_is_opened_again(
    generator: Generator, serve: Serve, answer: bytes
) -> None:
    result = load(generator, serve(answering(answer)), requests=6)
    assert (result.completed, result.errors_by_kind) == (0, {"garbage": 6})
    assert result.reconnects == 5
    assert result.errors[0].status is None


def test_one_connection_lost_in_a_request_is_counted_and_opened_again(
    generator: Generator, serve: Serve
) -> None:
    count = itertools.count(1)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            if next(count) == 50:
                writer.write(PLAIN[:-2])
                return
            writer.write(PLAIN)

    result = load(generator, serve(handler), requests=200, concurrency=4)
    assert (result.completed, result.error_count, result.reconnects) == (199, 1, 1)
    assert result.errors[0].kind == "lost"
    assert "closed the connection" in result.errors[0].got


def test_a_connection_that_ended_while_idle_is_opened_again_without_an_error(
    generator: Generator, serve: Serve
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.wait_for(request_head(reader), 0.3)
            writer.write(PLAIN)

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except TimeoutError:
            return

    target = generator.connect(serve(patient), "/", concurrency=4)
    assert generator.closed(target, requests=40).reconnects == 0
    with pytest.raises(NoAnswer):  # passes the time that the server waits
        generator.sample(generator.connect(serve(silent), "/", timeout_seconds=0.6))
    again = generator.closed(target, requests=40)
    assert (again.completed, again.error_count, again.reconnects) == (40, 0, 4)
    slow = generator.open(target, rate=1, seconds=3)
    assert (slow.completed, slow.error_count) == (3, 0)
    assert slow.reconnects > 0


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
    await reader.read()


def test_a_request_sent_just_as_the_server_gave_up_an_idle_connection_is_sent_again(
    generator: Generator, serve: Serve
) -> None:
    opened = itertools.count(1)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(opened)
        while True:
            await request_head(reader)
            if number == 1:
                return
            writer.write(PLAIN)

    target = generator.connect(serve(handler), "/")
    with pytest.raises(NoAnswer):
        generator.sample(generator.connect(serve(silent), "/", timeout_seconds=0.6))
    result = generator.closed(target, requests=3)
    assert (result.completed, result.error_count, result.reconnects) == (3, 0, 1)


def test_a_request_without_the_end_of_its_answer_times_out_and_no_other_is_sent(
    generator: Generator, serve: Serve
) -> None:
    async def one_in_five(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for turn in itertools.count(1):
            await request_head(reader)
            writer.write(PLAIN if turn % 5 else PLAIN[:-1])

    result = load(generator, serve(one_in_five), requests=20, timeout_seconds=0.2)
    assert (result.completed, result.errors_by_kind) == (4, {"timeout": 1})
    assert result.errors[0].got == "no end of the answer within 0.2 s"
    assert result.window_seconds < 5


def test_a_server_that_dies_ends_the_window_early_with_errors(
    generator: Generator, serve: Serve
) -> None:
    servers: list[asyncio.Server] = []
    count = itertools.count()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while next(count) < 100:
            await request_head(reader)
            writer.write(PLAIN)

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)
        for server in servers:
            server.close()

    url = serve_and_keep(servers, dying, serve)
    target = generator.connect(url, "/", concurrency=3)
    result = generator.closed(target, seconds=20)
    assert result.completed >= 90
    assert result.errors_by_kind["refused"] == 3
    assert result.window_seconds < 10
    with pytest.raises(NobodyListens, match="start it"):
        generator.closed(target, seconds=1)


def by_path(answers: Mapping[bytes, bytes]) -> Handler:
    """Gives the answer of the request's path, else a plain one."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await request_head(reader)).split()[1]
            writer.write(answers.get(path, PLAIN))

    return handler


def test_an_error_belongs_to_its_own_request_of_a_mix(generator: Generator, serve: Serve) -> None:
    broken = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    url = serve(by_path({b"/users/7": broken, b"/orders": broken}))
    mixed = mix(get("/"), get("/users"), get("/users/{id}", id=uniform(7, 7)), get("/orders"))
    result = generator.closed(generator.connect(url, mixed), requests=100)
    assert result.failed_index.size == result.error_count
    wrong = np.bincount(result.failed_index, minlength=4)
    right = np.bincount(result.request_index, minlength=4)
    assert [*(wrong > 0), *(right > 0)] == [False, False, True, True, True, True, False, False]
    told = {e.request_index: (e.request_line, e.count) for e in result.errors}
    assert told == {2: ("GET /users/7", wrong[2]), 3: ("GET /orders", wrong[3])}


def test_each_request_of_a_mix_that_fails_has_an_example(
    generator: Generator, serve: Serve
) -> None:
    broken = (b"HTTP/1.1 500 Error\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(10))
    url = serve(answering(*broken))
    mixed = mix(*(get(f"/{n}") for n in range(8)))
    result = generator.closed(generator.connect(url, mixed), requests=200)
    assert {example.request_index for example in result.errors} == set(range(8))
    assert 8 <= len(result.errors) <= 12


def hanging_up(answer: bytes) -> Handler:
    """Ends each connection without a word once a second request is there."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(answer)
        await request_head(reader)

    return handler


@pytest.mark.parametrize("request_of", [get, head])
def test_what_a_server_hangs_up_on_after_an_answer_is_sent_again(
    generator: Generator, serve: Serve, request_of: Callable[[str], LoadRequest]
) -> None:
    answer = PLAIN if request_of is get else PLAIN.removesuffix(b"hello")
    request, url = request_of("/"), serve(hanging_up(answer))
    result = load(generator, url, request, requests=10, resend=True)
    assert (result.completed, result.error_count, result.reconnects) == (10, 0, 9)


@pytest.mark.parametrize(("method", "resend"), [("POST", True), ("GET", False)])
def test_nothing_is_sent_again_that_may_change_something_or_need_not(
    generator: Generator, serve: Serve, method: str, resend: bool
) -> None:
    request, url = LoadRequest(method, "/"), serve(hanging_up(PLAIN))
    result = load(generator, url, request, requests=10, resend=resend)
    assert (result.completed, result.errors_by_kind) == (5, {"lost": 5})


@pytest.mark.parametrize("after", [0, 1])
def test_a_request_is_sent_again_once_and_on_a_used_connection_only(
    generator: Generator, serve: Serve, after: int
) -> None:
    opened, seen = itertools.count(), itertools.count()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(after if next(opened) == 0 else 0):
            await request_head(reader)
            writer.write(PLAIN)
        await request_head(reader)
        next(seen)

    result = load(generator, serve(handler), requests=6, resend=True)
    assert (result.completed, result.errors_by_kind) == (after, {"lost": 6 - after})
    assert next(seen) == 6


def serve_and_keep(servers: list[asyncio.Server], handler: Handler, serve: Serve) -> str:
    """A server of its own inside a raw server's loop, which the handler can close."""
    ready: list[str] = []

    async def starter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        servers.append(await asyncio.start_server(connected, "127.0.0.1", 0))
        ready.append(f"http://127.0.0.1:{servers[0].sockets[0].getsockname()[1]}")
        await request_head(reader)
        writer.write(PLAIN)

    with Generator() as starting:
        starting.sample(starting.connect(serve(starter), "/"))
    return ready[-1]


def test_a_large_request_is_sent_whole(generator: Generator, serve: Serve) -> None:
    body = b"z" * 8_000_000

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_head(reader)
            await reader.readexactly(len(body))
            writer.write(PLAIN)

    upload = as_workload(LoadRequest("POST", "/", content=body))
    target = generator.connect(serve(handler), upload, concurrency=2)
    result = generator.closed(target, requests=6)
    assert (result.completed, result.error_count, result.reconnects) == (6, 0, 0)
    assert result.bytes_sent > 6 * len(body)


def test_a_refusal_before_the_request_is_out_is_still_read(
    generator: Generator, serve: Serve
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await reader.read(4_000_000)  # a reset may overtake the answer otherwise

    upload = LoadRequest("POST", "/", content=b"z" * 8_000_000, expect_status=(413,))
    result = load(generator, serve(handler), upload, requests=4)
    assert result.completed + result.errors_by_kind.get("lost", 0) == 4
    assert result.completed >= 1


def test_a_sample_shows_whole_answers_and_does_not_judge_them(
    generator: Generator, serve: Serve
) -> None:
    wrong = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nno"
    target = generator.connect(serve(answering(wrong, CHUNKED)), "/a")
    first, second = generator.sample(target, 2)
    assert (first.status, first.text, first.header("X-A")) == (418, "no", "1")
    assert (second.status, second.body) == (200, b"hello")
    assert first.request_text.startswith("GET /a HTTP/1.1\r\n")


def test_a_sample_goes_on_where_the_server_hung_up_after_an_answer(
    generator: Generator, serve: Serve
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(PLAIN)
        await request_head(reader)

    answers = generator.sample(generator.connect(serve(handler), "/"), 4)
    assert [answer.text for answer in answers] == 4 * ["hello"]


def test_a_sample_without_an_answer_says_so(generator: Generator, serve: Serve) -> None:
    target = generator.connect(serve(answering(b"nonsense\r\n\r\n")), "/a")
    with pytest.raises(NoAnswer, match="GET /a: no HTTP answer"):
        generator.sample(target)
