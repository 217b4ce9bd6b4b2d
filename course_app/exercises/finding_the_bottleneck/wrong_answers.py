"""Known wrong answers: the tools held by the wrong end, and repairs of what was not broken."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from course_app.apps.newsroom import SOUND, Page, Stage, create_newsroom, replaced
from course_app.apps.suspects import planted
from course_app.exercises.finding_the_bottleneck import rubric
from course_app.exercises.finding_the_bottleneck.pages import StaleAnswer
from course_app.exercises.finding_the_bottleneck.reference import (
    FINDING,
    LOCUSTFILE,
    SEED,
    create_app,
)
from course_app.grading import WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

#: A seed that makes a stage slow by what Python does.
CPU_SEED = 11
CPU_FINDING = {"endpoint": "/posts/{post_id}", "stage": "words", "cause": "CPU"}


def as_it_was(postgres_dsn: str) -> FastAPI:
    return create_newsroom(postgres_dsn, planted(SEED))


def slow_words(postgres_dsn: str) -> FastAPI:
    return create_newsroom(postgres_dsn, planted(CPU_SEED))


def _remembered(stage: Stage) -> Stage:
    known: dict[int, Any] = {}

    async def remembered(pool: Any, page: Page) -> Any:
        if page["id"] not in known:
            known[page["id"]] = await stage(pool, page)
        return known[page["id"]]

    return remembered


def another_stage_made_free(postgres_dsn: str) -> FastAPI:
    """Much work, no mistake, and no use: `related` depends on nothing but its page."""
    known: dict[tuple[int, ...], Any] = {}

    async def related(pool: Any, page: Page) -> Any:
        key = tuple(post["id"] for post in page["latest"])
        if key not in known:
            known[key] = await SOUND["tags"]["related"](pool, page)
        return known[key]

    return create_newsroom(postgres_dsn, replaced(planted(SEED), "tags", "related", related))


def answers_remembered(postgres_dsn: str) -> FastAPI:
    stages = {
        page: {name: _remembered(stage) for name, stage in functions.items()}
        for page, functions in SOUND.items()
    }
    return create_newsroom(postgres_dsn, stages)


def stage_left_out(postgres_dsn: str) -> FastAPI:
    async def authors(_pool: Any, _page: Page) -> dict[int, str]:
        return {}

    return create_newsroom(postgres_dsn, replaced(SOUND, "tags", "authors", authors))


def _values(**changed: Any) -> Mapping[str, Any]:
    return {"seed": SEED, "locustfile": LOCUSTFILE, "finding": FINDING, **changed}


def _locustfile(old: str, new: str) -> Mapping[str, Any]:
    assert old in LOCUSTFILE
    return _values(locustfile=LOCUSTFILE.replace(old, new))


_ONE_TASK_LESS = _locustfile("    @task\n    def user", "    def user")
_CHECKS_STATUS = _locustfile('response.json().get("id") != number', "response.status_code != 200")
_MISSING_IDS = _locustfile("randint(1, 100_000)", "randint(60_000, 140_000)")
_PAUSES = _locustfile(
    "    def read(self, page, number):\n",
    "    def read(self, page, number):\n        import time\n\n        time.sleep(1)\n",
)
_NAME_PER_ID = _locustfile("name=name", "name=path")
_NO_PYTHON = _locustfile("class Reader(HttpUser):", "class Reader(HttpUser)")
_ALL_FAIL = _locustfile('response.ok and response.json().get("id") != number', "True")
_ELSEWHERE = _locustfile(
    "class Reader(HttpUser):", "open('/etc/course', 'w')\nclass Reader(HttpUser):"
)

WRONG_ANSWERS = (
    WrongAnswer("as it was", as_it_was, TooLittleGain, _values()),
    WrongAnswer(
        "as it was, with slow Python",
        slow_words,
        TooLittleGain,
        _values(seed=CPU_SEED, finding=CPU_FINDING),
    ),
    WrongAnswer("another stage made free", another_stage_made_free, TooLittleGain, _values()),
    WrongAnswer("answers remembered", answers_remembered, StaleAnswer, _values()),
    WrongAnswer("the slow stage left out", stage_left_out, DifferentAnswer, _values()),
    WrongAnswer("the finding of another seed", create_app, rubric.WrongEndpoint, _values(seed=11)),
    WrongAnswer(
        "another stage named",
        create_app,
        rubric.WrongStage,
        _values(finding={**FINDING, "stage": "latest"}),
    ),
    WrongAnswer(
        "another cause named",
        create_app,
        rubric.WrongCause,
        _values(finding={**FINDING, "cause": "buffers"}),
    ),
    WrongAnswer("no finding", create_app, rubric.NoFinding, _values(finding={})),
    WrongAnswer(
        "no endpoint",
        create_app,
        rubric.NoFinding,
        _values(finding={**FINDING, "endpoint": ""}),
    ),
    WrongAnswer("no seed", create_app, rubric.NoSeed, _values(seed=None)),
    WrongAnswer("an endpoint left out", create_app, rubric.MissesEndpoints, _ONE_TASK_LESS),
    WrongAnswer("users that pause in their tasks", create_app, rubric.TooFewRequests, _PAUSES),
    WrongAnswer("only the status checked", create_app, rubric.ChecksNothing, _CHECKS_STATUS),
    WrongAnswer("ids that do not exist", create_app, rubric.FalseAlarms, _MISSING_IDS),
    WrongAnswer("everything is a failure", create_app, rubric.FalseAlarms, _ALL_FAIL),
    WrongAnswer("a name for each id", create_app, rubric.TooManyNames, _NAME_PER_ID),
    WrongAnswer("a locustfile with a typing error", create_app, rubric.NoLocustfile, _NO_PYTHON),
    WrongAnswer("a locustfile that writes elsewhere", create_app, rubric.NoLocustfile, _ELSEWHERE),
)
