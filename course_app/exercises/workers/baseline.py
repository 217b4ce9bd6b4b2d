"""The plan that the learner starts from: what the guide says, word for word."""

from typing import Any

from fastapi import FastAPI


def as_the_guide_says() -> FastAPI:
    app = FastAPI()
    by_the_formula = {"server": "hypercorn", "workers": 2 * 2 + 1, "pool": 20, "measured": {}}

    @app.get("/plan")
    async def plan() -> dict[str, Any]:
        return dict.fromkeys(("computes", "waits", "reports"), by_the_formula)

    return app
