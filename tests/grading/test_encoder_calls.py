"""Criteria can ask how often an answer went through ``jsonable_encoder``, at both doors."""

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from course_app.grading import Checker, Evidence, Exam, Exercise, Failure, WrongAnswer, contract

#: The dict, its key and its value.
CALLS_OF_ANSWER = 3


class Encodes(Failure):
    """FastAPI encodes the answer value by value."""

    hint = "Declare a type."


class Answer(BaseModel):
    number: int


def create_untyped() -> FastAPI:
    app = FastAPI()
    app.get("/", response_model=None)(lambda: {"number": 1})
    return app


def create_typed() -> FastAPI:
    app = FastAPI()
    app.get("/", response_model=Answer)(lambda: {"number": 1})
    return app


@contract(points=10)
def no_calls(exam: Exam) -> Evidence:
    """No answer goes through jsonable_encoder."""
    calls = exam.encoder_calls(exam.learner, "/")
    if calls:
        raise Encodes(f"{calls:g}", "0")
    return Evidence("0", "0")


EXERCISE = Exercise(
    slug="99_encoder",
    title="Declare a type",
    baseline=create_untyped,
    reference=create_typed,
    rubric=(no_calls,),
    hints=("...",),
    wrong_answers=(WrongAnswer("no type", create_untyped, Encodes),),
)


@pytest.mark.parametrize("door", ["processes", pytest.param("threads", marks=pytest.mark.slow)])
def test_calls_are_counted_per_request(door: str, request: pytest.FixtureRequest) -> None:
    checker: Checker = request.getfixturevalue(door)
    (failure,) = checker.check(EXERCISE, create_untyped).failures()
    assert (failure.failure, failure.observed) == ("Encodes", str(CALLS_OF_ANSWER))
    assert checker.check(EXERCISE, create_typed).passed
