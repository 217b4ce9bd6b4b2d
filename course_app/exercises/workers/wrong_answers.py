"""Known wrong answers, each a small change to a good plan, as learners make them."""

from itertools import count
from typing import Any

from fastapi import FastAPI

from course_app.exercises.workers import rubric
from course_app.exercises.workers.baseline import as_the_guide_says
from course_app.grading import WrongAnswer

Entry = dict[str, Any]

_FLAT = {"1": [1279, 1278, 1279], "2": [1278, 1279, 1277], "5": [1275, 1279, 1278]}
_TWICE = {"1": [679, 683, 668], "2": [1198, 1241, 1215]}


def _good() -> dict[str, Entry]:
    return {
        "computes": {"server": "uvicorn", "workers": 2, "pool": 0, "measured": _TWICE},
        "waits": {"server": "uvicorn", "workers": 1, "pool": 0, "measured": _FLAT},
        "reports": {"server": "uvicorn", "workers": 1, "pool": 12, "measured": _FLAT},
    }


def _app(**changes: Entry) -> FastAPI:
    app = FastAPI()
    services = _good()
    for service, change in changes.items():
        services[service] |= change

    @app.get("/plan")
    async def plan() -> dict[str, Entry]:
        return services

    return app


def create_pools_everywhere() -> FastAPI:
    return _app(computes={"pool": 4}, waits={"pool": 4})


def create_undecided() -> FastAPI:
    app, asked = FastAPI(), count(1)

    @app.get("/plan")
    async def plan() -> dict[str, Entry]:
        return _good() | {"waits": {**_good()["waits"], "workers": next(asked)}}

    return app


def create_in_words() -> FastAPI:
    return _app(reports={"workers": "one per core"})


def create_without_pool() -> FastAPI:
    return _app(reports={"pool": 0})


def create_single_connection() -> FastAPI:
    return _app(reports={"pool": 1})


def create_five_that_wait() -> FastAPI:
    return _app(waits={"workers": 5})


def create_one_each() -> FastAPI:
    return _app(computes={"workers": 1, "measured": _FLAT})


def create_two_that_wait() -> FastAPI:
    return _app(waits={"workers": 2})


def create_three_that_compute() -> FastAPI:
    return _app(computes={"workers": 3, "measured": {**_TWICE, "3": [1201, 1244, 1219]}})


def create_small_pool() -> FastAPI:
    return _app(reports={"pool": 3})


def create_on_hypercorn() -> FastAPI:
    return _app(waits={"server": "hypercorn"})


def create_unmeasured() -> FastAPI:
    return _app(reports={"measured": {}})


def create_measured_once() -> FastAPI:
    return _app(computes={"measured": {"1": [679], "2": [1241]}})


def create_seconds() -> FastAPI:
    """Seconds for a thousand requests, so that less is better."""
    return _app(computes={"measured": {"1": [1.47, 1.46, 1.49], "2": [0.83, 0.81, 0.82]}})


def create_more_connections() -> FastAPI:
    """Each worker had a pool of two: it was the connections that gave twice as much."""
    return _app(reports={"measured": {"1": [80, 78, 79], "2": [158, 157, 158]}})


def create_invented() -> FastAPI:
    return _app(computes={"measured": {"1": [100, 100, 100], "2": [900, 900, 900]}})


WRONG_ANSWERS = (
    WrongAnswer("the guide's plan", as_the_guide_says, rubric.TooManyConnections),
    WrongAnswer(
        "pools for those who ask nobody", create_pools_everywhere, rubric.TooManyConnections
    ),
    WrongAnswer("another plan each time", create_undecided, rubric.NoPlan),
    WrongAnswer("numbers in words", create_in_words, rubric.NoPlan),
    WrongAnswer("reports without connections", create_without_pool, rubric.NotServed),
    WrongAnswer("a single connection", create_single_connection, rubric.NotServed),
    WrongAnswer("twice the cores plus one, to wait", create_five_that_wait, rubric.OverMemory),
    WrongAnswer("one worker each", create_one_each, rubric.OneCoreIdle),
    WrongAnswer("two workers, to wait", create_two_that_wait, rubric.UselessWorkers),
    WrongAnswer("more workers than cores", create_three_that_compute, rubric.UselessWorkers),
    WrongAnswer("a pool of three", create_small_pool, rubric.SmallPool),
    WrongAnswer("Hypercorn, to wait", create_on_hypercorn, rubric.CostlyServer),
    WrongAnswer("a choice without figures", create_unmeasured, rubric.NotMeasured),
    WrongAnswer("one window is enough", create_measured_once, rubric.NotMeasured),
    WrongAnswer("figures upside down", create_seconds, rubric.Contradicted),
    WrongAnswer(
        "twice the connections for two workers", create_more_connections, rubric.Contradicted
    ),
    WrongAnswer("figures that are too good", create_invented, rubric.NotTrue),
)
