"""Since we gave the finder a cache last month, the answers come fast, and our graphs of latency and
errors are spotless. But the container is started anew several times a day, always in the busy hours
and never at night; after a restart all is well for an hour or two."""

import functools
import zlib
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel

ROUTES = [
    {"method": "GET", "path": "/quotes?q=love+and+{number}", "values": {"number": [1, 20000]}},
    {"method": "GET", "path": "/authors/{author}", "values": {"author": [0, 39]}},
]

AUTHORS = [f"Author {chr(65 + n % 26)}. {n}" for n in range(40)]
SHOWN = 5


class Found(BaseModel):
    query: str
    total: int
    quotes: list[str]


class Finder:
    """Stands for a full-text index; it returns all hits, the best ones first."""

    def search(self, text: str) -> list[str]:
        seed = zlib.crc32(text.encode())
        return [
            f"{AUTHORS[(seed + hit * hit) % 40]}, nr {seed % 9973 + hit} about {text}: page {hit}"
            for hit in range(120)
        ]

    @functools.lru_cache(maxsize=40)
    def author(self, number: int) -> str:
        return AUTHORS[number]


class KeepingFinder(Finder):
    @functools.lru_cache(maxsize=None)
    def hits(self, text: str) -> list[str]:
        return self.search(text)


class CuredFinder(Finder):
    @functools.lru_cache(maxsize=200)
    def hits(self, text: str) -> list[str]:
        return self.search(text)


router = APIRouter()


def finder_of(request: Request) -> KeepingFinder | CuredFinder:
    return request.app.state.finder


Hits = Annotated[KeepingFinder | CuredFinder, Depends(finder_of)]


@router.get("/quotes")
async def find_quotes(q: str, finder: Hits) -> Found:
    hits = finder.hits(" ".join(q.lower().split()))
    return Found(query=q, total=len(hits), quotes=hits[:SHOWN])


@router.get("/authors/{author}")
async def read_author(author: int, finder: Hits) -> dict[str, str | int]:
    return {"author": author, "name": finder.author(author % 40)}


def _build(finder: KeepingFinder | CuredFinder) -> FastAPI:
    app = FastAPI()
    app.state.finder = finder
    app.include_router(router)
    return app


def create_app() -> FastAPI:
    return _build(KeepingFinder())


def create_cured() -> FastAPI:
    return _build(CuredFinder())
