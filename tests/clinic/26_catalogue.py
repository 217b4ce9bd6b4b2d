"""The catalogue is in memory, there is no database and no other service. Why does one request take
as long as a hundred others? We already bought a faster machine."""

from datetime import date
from typing import Any

from fastapi import FastAPI, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter

ROUTES = [{"method": "GET", "path": "/catalogue/{shelf}", "values": {"shelf": [0, 9]}}]


class Size(BaseModel):
    label: str
    centimetres: float


class Article(BaseModel):
    number: int
    name: str
    listed: date
    sizes: list[Size]


def shelves() -> list[list[Article]]:
    return [
        [
            Article(
                number=1000 * shelf + i,
                name=f"Article {i}",
                listed=date(2025, 1 + i % 12, 1 + i % 28),
                sizes=[Size(label=label, centimetres=i % 50 + 0.5) for label in "SML"],
            )
            for i in range(250)
        ]
        for shelf in range(10)
    ]


def create_app() -> FastAPI:
    app = FastAPI()
    kept = shelves()

    def prepared(articles: list[Article]) -> Any:
        return jsonable_encoder(articles)

    @app.get("/catalogue/{shelf}")
    async def catalogue(shelf: int) -> JSONResponse:
        return JSONResponse(prepared(kept[shelf]))

    return app


def create_cured() -> FastAPI:
    """pydantic writes JSON by itself, in one go."""
    app = FastAPI()
    kept = shelves()
    adapter = TypeAdapter(list[Article])

    @app.get("/catalogue/{shelf}")
    async def catalogue(shelf: int) -> Response:
        return Response(adapter.dump_json(kept[shelf]), media_type="application/json")

    return app
