"""Writes an app as large ones are: 80 routes in ten modules, 10,000 lines, one slow handler."""

import textwrap
from pathlib import Path

AREAS = (
    *("orders", "users", "shops", "items", "carts", "tags", "posts", "invoices", "parcels"),
    "reviews",
)
#: Of each area: a list, one of it, and six more with parameters of their own.
ROUTES_EACH = 8
LEAST_LINES = 10_000
SLOW = "GET /invoices/{invoice_id}/total"

_ROUTER = '''\
"""Everything about {area}."""

{waits}
from datetime import date
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

router = APIRouter(prefix="/{area}")
KNOWN = range({first}, {first} + 50)


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Entry(BaseModel):
    id: int
    name: str
    rank: int


def entry(number: int) -> Entry:
    if number not in KNOWN:
        raise HTTPException(404)
    return Entry(id=number, name=f"{one} {{number}}", rank=rule_0(number))


@router.get("")
async def everything(limit: Annotated[int, Query(ge=1, le=50)] = 20) -> list[Entry]:
    return [entry(number) for number in KNOWN[:limit]]


@router.get("/by-state/{{state}}")
async def by_state(state: State) -> list[Entry]:
    return [entry(n) for n in KNOWN if (n % 2 == 0) == (state is State.OPEN)]


@router.get("/on/{{day}}")
async def on_day(day: date) -> list[Entry]:
    return [entry(KNOWN[day.day])]


@router.get("/search")
async def search(q: Annotated[str, Query(min_length=2, examples=["ab", "cd"])]) -> list[Entry]:
    return [entry(n) for n in KNOWN if len(q) > n % 5]


@router.get("/{{{one}_id}}")
async def one({one}_id: int) -> Entry:
    return entry({one}_id)


@router.get("/{{{one}_id}}/total")
async def total({one}_id: int) -> dict[str, int]:
    {slow}
    return {{"total": entry({one}_id).rank}}


@router.get("/{{{one}_id}}/history")
async def history({one}_id: int, page: Annotated[int, Query(ge=1, le=9)] = 1) -> list[int]:
    return [entry({one}_id).rank] * page


@router.get("/{{{one}_id}}/neighbours")
def neighbours({one}_id: int) -> list[Entry]:
    return [entry(n) for n in KNOWN if abs(n - {one}_id) < 3 and entry({one}_id)]


@router.post("")
async def make() -> None:
    raise AssertionError("nobody named it")
'''
_RULE = '''

def rule_{n}(number: int) -> int:
    """How rule {n} of {area} ranks an entry."""
    if number % {a} == 0:
        return number // {a}
    if number % {b} == 1:
        return number * {b}
    return number + {n}
'''


def write_big_app(folder: Path) -> int:
    """Write it; returns its number of lines. The app is ``big/main.py:app``."""
    package = folder / "big"
    package.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "big"\nversion = "1"\n')
    (package / "__init__.py").write_text("")
    for number, area in enumerate(AREAS):
        (package / f"{area}.py").write_text(_module(number, area))
    included = "\n".join(f"app.include_router({area}.router)" for area in AREAS)
    (package / "main.py").write_text(
        textwrap.dedent(
            f"""\
            from fastapi import FastAPI

            from big import {", ".join(AREAS)}

            app = FastAPI()
            """
        )
        + included
        + "\n"
    )
    return sum(file.read_text().count("\n") for file in package.glob("*.py"))


def _module(number: int, area: str) -> str:
    slow = area == "invoices"
    text = _ROUTER.format(
        area=area,
        one=area.removesuffix("s"),
        first=1000 * (number + 1),
        waits="import time" if slow else "import math  # noqa: F401",
        slow="time.sleep(0.005)" if slow else "pass",
    )
    rules = 0
    while text.count("\n") < LEAST_LINES // len(AREAS):
        text += _RULE.format(n=rules, area=area, a=2 + rules % 7, b=3 + rules % 5)
        rules += 1
    return text
