"""Exercise 14: our blog starts in several workers at once, and is described as the given one."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from course_app.exercises.blog_api.baseline import slow_blog
from course_app.exercises.blog_api.reference import create_app
from course_app.lab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


async def asked(app: FastAPI, path: str) -> httpx.Response:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://blog") as client,
    ):
        return await client.get(path)


def test_workers_may_start_together(lab: Lab) -> None:
    async def start(app: FastAPI) -> None:
        async with app.router.lifespan_context(app):
            pass

    async def start_together() -> None:
        apps = [create_app(lab.postgres_dsn, lab.valkey_url) for _ in range(4)]
        await asyncio.gather(*map(start, apps))

    with psycopg.connect(lab.postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP INDEX IF EXISTS posts_newest")
    asyncio.run(start_together())


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/posts?before=0", 200, []),
        ("/posts?before=-1", 200, []),
        (f"/posts?before={2**63 - 1}", 200, []),
        ("/posts/0", 404, {"detail": "Post not found"}),
        (f"/posts?before={2**63}", 422, None),
        (f"/posts/{2**63}", 422, None),
    ],
)
def test_ids_of_no_post_are_as_before_as_far_as_a_bigint_goes(
    path: str, status: int, body: Any, lab: Lab
) -> None:
    for create in (slow_blog, create_app) if body is not None else (create_app,):
        answer = asyncio.run(asked(create(lab.postgres_dsn, lab.valkey_url), path))
        assert answer.status_code == status
        assert body is None or answer.json() == body


def test_answers_are_described_as_before() -> None:
    given, ours = (
        create("postgresql://nobody@127.0.0.1/none", "redis://127.0.0.1").openapi()
        for create in (slow_blog, create_app)
    )
    assert ours["components"]["schemas"] == given["components"]["schemas"]
    for path, method in (("/posts", "get"), ("/posts", "post"), ("/posts/{post_id}", "get")):
        described, wanted = (
            each["paths"][path][method]["responses"]["200"] for each in (ours, given)
        )
        assert described == wanted
