"""What an app's own description says that can be asked, and with which values."""

import asyncio
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from functools import partial
from types import ModuleType
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Cookie, FastAPI, Header, HTTPException, Path, Query
from representatives import others_slow

from course_app.examine import discovery
from course_app.examine.discovery import Harvest, Unfillable, describe, discovered, request_for
from course_app.examine.target import CannotExamine, Loaded
from course_app.examine.traffic import declared
from course_app.load import Generator, Request, Workload
from course_app.serving import ThreadServer


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


def described(app: object, routes: object = None) -> dict[str, Any]:
    module = ModuleType("examined")
    if routes is not None:
        module.ROUTES = routes  # type: ignore[attr-defined]
    return describe(Loaded(app, module, ()))


def sent(request: Request, count: int = 100) -> set[str]:
    payloads, _ = Workload((request,)).render(count, 0, "127.0.0.1")
    return {payload.split(b" ")[1].decode() for payload in payloads}


def asked(app: FastAPI, path: str) -> Request:
    return request_for(described(app)["openapi"], path, Harvest(), {})


def make() -> FastAPI:
    app = FastAPI()

    @app.get("/typed/{size}/{n}/{day}/{key}")
    def typed(size: Size, n: Annotated[int, Path(ge=3, lt=6)], day: date, key: UUID) -> None: ...

    @app.get("/query")
    def query(
        kind: Literal["a", "b"],
        word: Annotated[str, Query(examples=["owl", "elk"])],
        flag: bool,
        text: Annotated[str, Query(min_length=6)],
        limit: Annotated[int, Query(ge=1, le=3)] = 2,
        skip: int = 0,
        note: str | None = None,
    ) -> None: ...

    @app.get("/odd")
    def odd(code: Annotated[str, Query(pattern="^[A-Z]{2}[0-9]+$")]) -> None: ...

    @app.get("/headed")
    def headed(x_tenant: Annotated[int, Header()]) -> None: ...

    @app.get("/cookie")
    def cookie(session: Annotated[str, Cookie()]) -> None: ...

    @app.get("/file/{rest:path}")
    def file(rest: str) -> None: ...

    return app


def test_values_come_from_enums_bounds_formats_and_examples() -> None:
    lines = sent(asked(make(), "/typed/{size}/{n}/{day}/{key}"), 300)
    parts = [line.split("/")[2:] for line in lines]
    assert {size for size, *_ in parts} == {"small", "large"}
    assert {n for _, n, *_ in parts} == {"3", "4", "5"}
    assert all(date.fromisoformat(day) for *_, day, _ in parts)
    assert all(UUID(key) for *_, key in parts)


def test_what_may_be_left_out_is_unless_its_values_are_known() -> None:
    request = asked(make(), "/query")
    assert request.path == ("/query?kind={kind}&word={word}&flag={flag}&text={text}&limit={limit}")
    assert {line.partition("word=")[2][:3] for line in sent(request)} == {"owl", "elk"}


def test_headers_are_filled_and_what_nobody_knows_is_named() -> None:
    assert dict(asked(make(), "/headed").headers).keys() == {"x-tenant"}
    for path, what in (("/odd", "code"), ("/cookie", "the cookie session")):
        with pytest.raises(Unfillable, match=what):
            asked(make(), path)


def test_mounted_and_wrapped_apps_are_described_too() -> None:
    outer = FastAPI()
    outer.mount("/v1", make())

    class Wrapped:
        app = outer

    paths = described(Wrapped())["openapi"]["paths"]
    assert "/v1/query" in paths
    request = request_for(described(Wrapped())["openapi"], "/v1/query", Harvest(), {})
    assert request.path.startswith("/v1/query?")


def test_an_app_without_a_description_has_none_and_a_broken_one_says_so() -> None:
    assert described(print)["openapi"] is None
    broken = FastAPI()
    broken.openapi = lambda: 1 / 0  # type: ignore[assignment,return-value]
    assert "ZeroDivisionError" in described(broken)["problem"]


def test_routes_reach_the_other_process_as_plain_data() -> None:
    plain = described(FastAPI(), [{"path": "/x/{n}", "values": {"n": range(1, 101)}}])["routes"]
    assert sent(declared(plain, {}).requests[0], 2000) == {f"/x/{n}" for n in range(1, 101)}


def shop() -> FastAPI:
    app = FastAPI()

    @app.get("/shops")
    async def shops() -> dict[str, Any]:
        return {"items": [{"id": n, "name": f"Shop {n}"} for n in range(5000, 5020)]}

    @app.get("/shops/{shop_id}")
    async def one(shop_id: int) -> dict[str, Any]:
        if not 5000 <= shop_id < 5020:
            raise HTTPException(404)
        return {"id": shop_id, "orders": [{"id": f"o{shop_id}", "sku": f"A{shop_id}"}]}

    @app.get("/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        if not order_id.startswith("o"):
            raise HTTPException(404)
        return {"id": order_id}

    @app.get("/skus/{sku}")
    async def sku(sku: str) -> str:
        if not sku.startswith("A"):
            raise HTTPException(404)
        return sku

    @app.get("/mine")
    async def mine() -> None:
        raise HTTPException(401)

    @app.get("/never/{n}")
    async def never(n: int) -> None:  # noqa: ARG001 - it finds nothing
        raise HTTPException(404)

    @app.post("/shops")
    async def open_shop() -> None:
        raise AssertionError("nobody named it")

    return app


@pytest.fixture
def sender() -> Iterator[Generator]:
    with Generator() as made:
        yield made


def test_what_lists_return_is_what_other_routes_are_asked_for(sender: Generator) -> None:
    app = shop()
    with ThreadServer(app) as server:
        openapi = described(app)["openapi"]
        traffic = discovered(openapi, sender, server.url, {})
        names = [request.describe() for request in traffic.requests]
        assert sorted(names) == [
            "GET /orders/{order_id}",
            "GET /shops",
            "GET /shops/{shop_id}",
            "GET /skus/{sku}",
        ]
        by_name = dict(zip(names, traffic.requests, strict=True))
        assert sent(by_name["GET /shops/{shop_id}"]) <= {f"/shops/{n}" for n in range(5000, 5020)}
        assert len(sent(by_name["GET /skus/{sku}"])) > 3
    said = " ".join(traffic.notes)
    assert "GET /mine was not examined: it answers 401" in said
    assert "GET /never/{n} was not examined: it answers 404" in said
    assert "Not sent: POST /shops" in said


def test_an_app_that_answers_nothing_rightly_is_one_sentence(sender: Generator) -> None:
    app = FastAPI()

    @app.get("/a")
    async def fails() -> None:
        raise HTTPException(500)

    with ThreadServer(app) as server, pytest.raises(CannotExamine, match=r"GET /a .* answers 500"):
        discovered(described(app)["openapi"], sender, server.url, {})


@pytest.mark.parametrize("turns", others_slow(1, [True, False]))
def test_slow_routes_do_not_speak_for_the_others_while_the_loop_turns(
    sender: Generator, monkeypatch: pytest.MonkeyPatch, turns: bool
) -> None:
    monkeypatch.setattr(discovery, "_ANSWER_SECONDS", 0.5)
    app = FastAPI()
    for name in ("a", "b", "c"):
        app.get(f"/{name}")(hangs)
    app.get("/quick")(lambda: 1)
    with ThreadServer(app, shutdown_timeout_seconds=0.5) as server:
        ask = partial(discovered, described(app)["openapi"], sender, server.url, {})
        if not turns:
            with pytest.raises(CannotExamine, match="does not answer"):
                ask(turns=lambda: False)
            return
        traffic = ask(turns=lambda: True)
    assert [request.describe() for request in traffic.requests] == ["GET /quick"]
    assert sum("no answer within 0.5 s" in note for note in traffic.notes) == 3


async def hangs() -> None:
    await asyncio.sleep(60)


def test_an_app_without_get_routes_says_how_to_name_some(sender: Generator) -> None:
    with pytest.raises(CannotExamine, match="--get"):
        discovered({"paths": {}}, sender, "http://127.0.0.1:1", {})
