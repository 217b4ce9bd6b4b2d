"""A small exercise: the handler repeats work for each request that could be done once.

It needs no database, so that what is tested here is the engine.
"""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, HTTPException

from course_app.grading import (
    Evidence,
    Exam,
    Exercise,
    Failure,
    WrongAnswer,
    contract,
    hygiene,
    speed,
)
from course_app.grading.failures import DifferentAnswer, TooLittleGain
from course_app.load import get, mix, uniform

NUMBERS = mix(
    get("/squares/{number}", number=uniform(1, 90_000), weight=4),
    get("/squares/{number}", number=uniform(200_000, 900_000), expect_status=404),
)


class NoRefusal(Failure):
    """A number that is none is not refused."""

    hint = "Declare the type of the parameter."


@contract(points=4)
def same_squares(exam: Exam) -> Evidence:
    """Every answer is as before, also for numbers that are too large."""
    return exam.same_answers(NUMBERS, 20)


@speed(points=4)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain."""
    return exam.speed(NUMBERS, concurrency=4)


@hygiene(points=2)
def refuses(exam: Exam) -> Evidence:
    """What is no number is refused with 422."""
    (answer,) = exam.ask(exam.learner, get("/squares/many", expect_status=422))
    if answer.status != 422:
        raise NoRefusal(str(answer.status), "422", credit=0.5)
    return Evidence("422", "422")


def waste(rounds: int) -> int:
    """Some CPU time."""
    return sum(number * number for number in range(rounds))


def squares(before: Callable[[], object], strict: bool = True) -> FastAPI:
    """The app; ``before`` runs in each request."""
    app = FastAPI()

    async def square(number: int) -> dict[str, int]:
        before()
        if number > 100_000:
            raise HTTPException(404, "too large")
        return {"square": number * number}

    async def loose_square(number: str) -> dict[str, int]:
        return await square(int(number) if number.isdigit() else 0)

    handler: Callable[..., Awaitable[object]] = square if strict else loose_square
    app.get("/squares/{number}")(handler)
    return app


def create_baseline() -> FastAPI:
    return squares(lambda: waste(40_000))


def create_reference() -> FastAPI:
    return squares(lambda: None)


def create_wrong() -> FastAPI:
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int) -> dict[str, int]:
        return {"square": number}

    return app


def create_slow() -> FastAPI:
    return squares(lambda: waste(30_000))


def create_outlasting() -> FastAPI:
    """Each request takes longer than the longest window."""
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int) -> dict[str, int]:
        await asyncio.sleep(1.1)
        if number > 100_000:
            raise HTTPException(404, "too large")
        return {"square": number * number}

    return app


def create_loose() -> FastAPI:
    return squares(lambda: None, strict=False)


def create_unwritten() -> FastAPI:
    def nothing() -> None:
        raise NotImplementedError("your answer")

    return squares(nothing)


exercise = Exercise(
    slug="98_squares",
    title="Do the work once",
    baseline=create_baseline,
    reference=create_reference,
    rubric=(same_squares, faster, refuses),
    hints=("What changes from request to request?", "Nothing but the number."),
    wrong_answers=(
        WrongAnswer("no square", create_wrong, DifferentAnswer),
        WrongAnswer("right but slow", create_slow, TooLittleGain),
        WrongAnswer("takes anything", create_loose, NoRefusal),
    ),
)
