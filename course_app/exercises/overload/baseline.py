"""The app that the learner starts from: it takes whatever comes, and answers it in turn."""

from hashlib import sha256
from typing import Any

from fastapi import FastAPI, HTTPException

ROUNDS = 8_000


def seal_of(number: int) -> str:
    """Slow on purpose: nobody shall find the seal of a voucher by trying."""
    digest = str(number).encode()
    for _ in range(ROUNDS):
        digest = sha256(digest).digest()
    return digest.hex()


def takes_everything() -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/vouchers/{number}")
    async def read_voucher(number: int) -> dict[str, Any]:
        if number < 1:
            raise HTTPException(404, "No such voucher")
        return {"number": number, "seal": seal_of(number)}

    return app
