"""The page about the lab is made from docstrings, and each of its examples runs."""

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pymongo
import pytest
from fastapi import FastAPI, HTTPException

from course_app.authoring.contents import find_course
from course_app.authoring.reference import PAGE, reference_page, write_reference
from course_app.lab import Lab, get, uniform, zipf

COURSE = find_course(Path(__file__))
CALLS = [
    name
    for name, call in vars(Lab).items()
    if inspect.isfunction(call) and not name.startswith("_") and name != "close"
]


def example(call: str) -> str:
    entry = reference_page().partition(f"\n## lab.{call}\n")[2].partition("\n## ")[0]
    blocks: list[str] = re.findall(r"```python\n(.*?)\n```", entry, re.S)
    return textwrap.dedent(blocks[1])


def test_the_page_is_that_of_the_docstrings() -> None:
    assert (COURSE.root / PAGE).read_text(encoding="utf-8") == reference_page(), "`course build`"


def test_a_course_without_pages_gets_none(tmp_path: Path) -> None:
    assert not write_reference(COURSE.model_copy(update={"root": tmp_path}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", CALLS)
def test_every_argument_of_a_call_is_told(call: str) -> None:
    """In its own entry; those of ``compare_requests`` are told where ``compare`` tells them."""
    page = reference_page()
    documented = inspect.getdoc(getattr(Lab, call)) or ""
    for name in list(inspect.signature(getattr(Lab, call)).parameters)[1:]:
        told = re.search(rf"\b{name}\b", documented) or re.search(rf"- `{name}`:", page)
        assert told, f"{call}: {name}"


def create_slow(dsn: str) -> FastAPI:
    app = FastAPI()

    @app.get("/users/{user_id}")
    async def read(user_id: int) -> str:
        connection = await asyncpg.connect(dsn)
        try:
            return await name_of(connection, user_id)
        finally:
            await connection.close()

    return app


def create_fast(dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{user_id}")
    async def read(user_id: int) -> str:
        return await name_of(app.state.pool, user_id)

    return app


async def name_of(connection: Any, user_id: int) -> str:
    name = await connection.fetchval("SELECT name FROM users WHERE id = $1", user_id)
    if name is None:
        raise HTTPException(404)
    return str(name)


@pytest.fixture(scope="module")
def names() -> Any:
    """What the examples use, and what those before them left."""
    with Lab() as lab:
        yield {
            "lab": lab,
            "slow": create_slow(lab.postgres_dsn),
            "fast": create_fast(lab.postgres_dsn),
            "get": get,
            **{f.__name__: f for f in (create_slow, create_fast, uniform, zipf)},
            **{m.__name__: m for m in (asyncio, asyncpg, httpx, pymongo)},
            "asynccontextmanager": asynccontextmanager,
        }


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.parametrize("call", CALLS)
def test_an_example_runs(call: str, names: dict[str, Any]) -> None:
    code = example(call)
    assert len(code.splitlines()) <= 10
    for before in CALLS[: CALLS.index(call)]:
        if read_by(code) & set_by(example(before)) - names.keys():
            exec(example(before), names)
    exec(compile(ast.parse(code), f"<lab.{call}>", "exec"), names)


def set_by(code: str) -> set[str]:
    return {x.id for x in _names(code) if isinstance(x.ctx, ast.Store)}


def read_by(code: str) -> set[str]:
    return {x.id for x in _names(code) if isinstance(x.ctx, ast.Load)}


def _names(code: str) -> list[ast.Name]:
    return [x for x in ast.walk(ast.parse(code)) if isinstance(x, ast.Name)]
