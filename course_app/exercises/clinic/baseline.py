"""The bookshop as the learner found it: with the two causes of the learner's seed."""

from fastapi import FastAPI

from course_app.apps.patients import made_of, patient_of
from course_app.apps.suspects import sown


def as_found(postgres_dsn: str) -> FastAPI:
    return made_of(patient_of(sown(postgres_dsn)).source, postgres_dsn)
