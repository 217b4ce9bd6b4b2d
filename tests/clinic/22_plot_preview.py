"""Previews are drawn on the server, ten milliseconds each. Since somebody scrolls through a gallery
of them, the status page of the same service stutters. It touches nothing."""

from fastapi import FastAPI, Response

ROUTES = [
    {"method": "GET", "path": "/plots/{seed}", "values": {"seed": [1, 5000]}},
    {"method": "GET", "path": "/status", "values": {}},
]

WIDTH, HEIGHT = 320, 240


def line(seed: int, row: int) -> str:
    """One row of the picture: where the curve is above this height."""
    level = row * row
    return " ".join(
        "1" if ((column * column * seed) ^ (column * 7919)) % 9973 > level else "0"
        for column in range(WIDTH)
    )


def draw(seed: int) -> bytes:
    rows = "\n".join(line(seed, row) for row in range(HEIGHT))
    return f"P1\n{WIDTH} {HEIGHT}\n{rows}\n".encode()


def add_status(app: FastAPI) -> None:
    @app.get("/status")
    async def status() -> dict[str, str]:
        return {"status": "ok"}


def create_app() -> FastAPI:
    app = FastAPI()
    add_status(app)

    async def render(seed: int) -> Response:
        return Response(draw(seed), media_type="image/x-portable-bitmap")

    @app.get("/plots/{seed}")
    async def plot(seed: int) -> Response:
        return await render(seed)

    return app


def create_cured() -> FastAPI:
    """A plain function runs in a thread, and the loop serves others meanwhile: not faster, fair."""
    app = FastAPI()
    add_status(app)

    @app.get("/plots/{seed}")
    def plot(seed: int) -> Response:
        return Response(draw(seed), media_type="image/x-portable-bitmap")

    return app
