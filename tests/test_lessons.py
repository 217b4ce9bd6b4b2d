"""Every lesson runs from top to bottom, and what it says of the guide's claims stands."""

from pathlib import Path

import pytest

from course_app.authoring.contents import Lesson, find_course, read_claims
from course_app.authoring.run import LessonRun, run_lessons

COURSE = find_course(Path(__file__))
WRITTEN = [lesson for lesson in COURSE.lessons if COURSE.source("lessons", lesson).is_file()]
CLAIMS = read_claims(COURSE)

#: A lesson takes a minute at most on two quiet cores; this is only a limit against hanging.
LIMIT_SECONDS = 300


def claims_of(lesson: Lesson) -> set[str]:
    """The claims that the lesson has to judge."""
    return {claim.id for claim in CLAIMS if claim.lesson == lesson.slug}


@pytest.fixture(scope="module", params=WRITTEN, ids=lambda lesson: lesson.slug)
def run(request: pytest.FixtureRequest) -> LessonRun:
    """One lesson, executed in a kernel of its own."""
    (run,) = run_lessons(COURSE, [request.param], progress=lambda *_: None)
    return run


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_lesson_runs_to_its_end_and_judges_its_claims(run: LessonRun) -> None:
    assert run.failure is None, str(run.failure)
    judged = {verdict.claim: verdict.verdict for verdict in run.findings.verdicts}
    assert claims_of(run.lesson) <= set(judged)
    # On a noisy machine it may be "cannot tell"; the contrary of a verdict would be a mistake.
    assert "not confirmed here" not in judged.values()


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_lesson_shows_figures_and_the_machine_they_were_measured_on(run: LessonRun) -> None:
    assert run.findings.pictures
    assert run.findings.machine
