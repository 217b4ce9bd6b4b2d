"""The newsroom as the learner found it: with the bottleneck of the learner's seed."""

from fastapi import FastAPI

from course_app.apps.newsroom import create_newsroom
from course_app.apps.suspects import planted, sown


def slow_newsroom(postgres_dsn: str) -> FastAPI:
    return create_newsroom(postgres_dsn, planted(sown(postgres_dsn)))
