"""What a criterion's author did not think of: the answer's fault, unless our own meets it too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import toy as squares
from fastapi import FastAPI

from course_app.grading import Checker, Criterion, Evidence, Exam, Outcome, contract


@contract(points=1)
def trusting(exam: Exam) -> Evidence:
    """It takes for granted what an answer looks like."""
    (answer,) = exam.ask(exam.learner, "/squares/7")
    return Evidence(str(answer.json()["square"] + 1), "50")


@contract(points=1)
def broken(exam: Exam) -> Evidence:
    """It breaks, whatever is handed in."""
    exam.ask(exam.learner, "/squares/7")
    raise LookupError("no such thing")


def other_names() -> FastAPI:
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int) -> dict[str, int]:
        return {"result": number * number}

    return app


def judged(checker: Checker, criterion: Criterion, answer: object) -> Any:
    (result,) = checker.check(replace(squares.exercise, rubric=(criterion,)), answer).results
    return result


def test_an_answer_of_another_form_has_failed_and_is_shown(threads: Checker) -> None:
    result = judged(threads, trusting, other_names)
    assert result.outcome is Outcome.FAILED
    assert result.failure == "UnexpectedAnswer"
    assert 'GET /squares/7: 200 {"result":49}' in result.observed
    assert "KeyError: 'square'" in result.observed


def test_a_criterion_that_breaks_on_our_own_answer_is_nobodys_fault(threads: Checker) -> None:
    result = judged(threads, broken, other_names)
    assert result.outcome is Outcome.COULD_NOT_CHECK
    assert "no such thing" in result.observed


def on_the_serving_loop() -> FastAPI:
    made_on = asyncio.get_running_loop()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        assert asyncio.get_running_loop() is made_on
        yield

    app = squares.create_reference()
    app.router.lifespan_context = lifespan
    return app


def test_create_app_is_called_on_the_loop_that_serves(threads: Checker) -> None:
    result = judged(threads, squares.same_squares, on_the_serving_loop)
    assert result.outcome is Outcome.PASSED, result.observed


def made_in_a_cell() -> FastAPI:
    app, loop = squares.create_reference(), asyncio.new_event_loop()
    future = loop.run_in_executor(None, lambda: None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.wait_for(asyncio.shield(future), 1)
        yield

    app.router.lifespan_context = lifespan
    return app


def test_what_was_made_on_another_loop_is_said_to_be(threads: Checker) -> None:
    result = judged(threads, squares.same_squares, made_in_a_cell)
    assert result.failure == "OnAnotherLoop", result.observed
    assert "create_app or in the lifespan" in result.hint
