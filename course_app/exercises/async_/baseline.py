"""The shop that the learner starts from: right, and blocked in three ways."""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException

from course_app.apps.partner import fetch_price, load_session, render_invoice


def shop_that_blocks() -> FastAPI:
    app = FastAPI()

    async def customer(token: str) -> str:
        return load_session(token)

    @app.get("/prices/{article}")
    async def price(article: int) -> dict[str, Any]:
        found = fetch_price(article)
        if found is None:
            raise HTTPException(404, "No such article")
        return {"article": article, "price": found}

    @app.get("/orders/{order}")
    async def read_order(order: int, name: Annotated[str, Depends(customer)]) -> dict[str, Any]:
        return {"order": order, "customer": name}

    @app.get("/invoices/{number}")
    async def invoice(number: int) -> dict[str, Any]:
        return render_invoice(number)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"process": os.getpid()}

    return app
