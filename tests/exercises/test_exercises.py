"""Every exercise judges rightly, and shows the learner what it judges."""

import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

import course_app.exercises
from course_app import learn
from course_app.authoring.contents import find_course
from course_app.authoring.markers import Sides, split
from course_app.grading import Checker, Evidence, Exercise, Kind, Outcome
from course_app.grading.blanks import looks_blank
from course_app.grading.failures import TooLittleGain, WrongUnderLoad
from course_app.grading.proofs import Proof, defects, verify
from course_app.grading.race import Race
from course_app.grading.scorecard import CriterionResult, Scorecard
from course_app.grading.source import describe_function
from course_app.learn import load_exercise
from course_app.services import Services

COURSE = find_course()
MODULES = sorted(module.name for module in pkgutil.iter_modules(course_app.exercises.__path__))
EXERCISES: list[Exercise] = [
    import_module(f"course_app.exercises.{name}").exercise for name in MODULES
]
FEWEST_WRONG_ANSWERS = 5
RUBRIC_POINTS = 10
#: Found by a race, or by the load that precedes one.
RACED = (TooLittleGain, WrongUnderLoad)

each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=MODULES)


@pytest.fixture(scope="module")
def door(services: Services) -> Iterator[Checker]:
    """The instructor's door."""
    with Checker(lambda: services, isolated=True) as checker:
        yield checker


@pytest.fixture
def alone(door: Checker) -> Checker:
    """The same, with the cores for itself."""
    return door


LOAD_ALL = """
import json, sys
from course_app.grading.source import load_function
for where in json.loads(sys.argv[1]):
    assert callable(load_function(where).namespace["create_app"])
    judge = where["module"].rpartition(".")[0] + ".rubric"
    if {judge, "course_app.grading.engine"} & {*sys.modules}:
        print(judge)
"""


def test_an_app_of_ours_is_run_without_what_judges_it() -> None:
    """That takes a second to import, for each of a check's apps."""
    found = json.dumps([describe_function(exercise.reference) for exercise in EXERCISES])
    command = [sys.executable, "-c", LOAD_ALL, found]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == b""


def sides(exercise: Exercise) -> Sides:
    path = COURSE.root / "content" / "exercises" / f"{exercise.slug}.py"
    return split(path.read_text(encoding="utf-8"), path.name)


def notebook(tree: str, exercise: Exercise) -> Path:
    return COURSE.root / tree / f"{exercise.slug}.ipynb"


@each_exercise
def test_an_exercise_is_complete(exercise: Exercise) -> None:
    assert defects(exercise) == []
    assert len(exercise.wrong_answers) >= FEWEST_WRONG_ANSWERS, "too few known wrong answers"


@each_exercise
def test_an_exercise_stands_in_the_table_of_contents_under_its_modules_name(
    exercise: Exercise,
) -> None:
    (lesson,) = (lesson for lesson in COURSE.lessons if lesson.slug == exercise.slug)
    assert lesson.points, "course.toml says that it is worth nothing"
    assert exercise.points == RUBRIC_POINTS, "what they are worth says course.toml"
    module = exercise.slug.partition("_")[2]
    assert {module, f"{module}_"} & set(MODULES), "a module is named after its slug"
    assert load_exercise(module) is load_exercise(exercise.slug[:2]) is exercise


def test_nbgrader_s_points_are_those_of_the_table_of_contents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (lesson,) = COURSE.select(["04"])
    worth_20 = lesson.model_copy(update={"points": 20})
    course = COURSE.model_copy(update={"lessons": (worth_20,)})
    seven = CriterionResult("right", "Right", Kind.CONTRACT, 10, Outcome.FAILED, 7)
    card = Scorecard(lesson.slug, lesson.title, (seven,), 1, "")
    monkeypatch.setattr(learn, "find_course", lambda: course)
    monkeypatch.setattr(learn, "check", lambda *_: card)
    assert learn.points("04") == 14


@each_exercise
def test_the_slow_app_and_the_answer_are_those_that_a_learner_reads(exercise: Exercise) -> None:
    text = sides(exercise)
    assert inspect.getsource(exercise.reference) in text.solution
    assert inspect.getsource(exercise.baseline) in text.exercise


@each_exercise
def test_a_learner_is_told_how_to_check(exercise: Exercise) -> None:
    assert f'check("{exercise.slug}", ' in sides(exercise).exercise


@each_exercise
def test_what_a_learner_gets_is_blank(exercise: Exercise) -> None:
    assert looks_blank(notebook("exercises", exercise))


@pytest.mark.parametrize("exercise", EXERCISES[1:2], ids=MODULES[1:2])
def test_the_solution_is_right(exercise: Exercise, door: Checker) -> None:
    # Of a few exercises here; the slow test below proves all of them, and all of each.
    contract = [criterion for criterion in exercise.rubric if criterion.kind is Kind.CONTRACT]
    card = door.check(replace(exercise, rubric=contract), notebook("solutions", exercise))
    assert card.passed, card


def one_for_each_kind(exercise: Exercise, *, raced: bool) -> Exercise:
    """One wrong answer for each kind of failure; `course verify` proves all of them.

    Of what no race is needed for, every second kind.
    """
    kinds = {wrong.failure: wrong for wrong in reversed(exercise.wrong_answers)}
    chosen = [wrong for failure, wrong in kinds.items() if (failure in RACED) is raced]
    return replace(exercise, wrong_answers=tuple(chosen if raced else chosen[::2]))


def without_goodput(exercise: Exercise) -> Exercise:
    """Without exercise 15's race: `course verify` proves what is near its bound, or comes after."""
    rubric = [criterion for criterion in exercise.rubric if criterion.name != "goodput"]
    return replace(exercise, rubric=tuple(rubric))


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_exercise
def test_a_blank_a_solution_and_what_only_a_race_finds_are_judged_rightly(
    exercise: Exercise, alone: Checker
) -> None:
    blank, solution = notebook("exercises", exercise), notebook("solutions", exercise)
    raced = one_for_each_kind(exercise, raced=True)
    # The last of those that are right in another way; `course verify` proves all of them.
    alike = without_goodput(replace(raced, right_answers=raced.right_answers[-1:]))
    assert not problems(verify(alone, alike, only="right answer"))
    raced = replace(raced, right_answers=())
    assert not problems(verify(alone, raced, blank=blank, solution=solution))


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_exercise
def test_what_no_race_is_needed_for_fails_its_own_way(
    exercise: Exercise, door: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Race, "run", lambda *_: Evidence("no race", "none"))
    unraced = without_goodput(one_for_each_kind(exercise, raced=False))
    # `course verify` runs them to their ends.
    proofs = list(verify(door, unraced, only="wrong answer", first_failure_only=True))
    assert proofs
    assert not problems(proofs)
    for proof in proofs:
        if proof.card and proof.card.results[0].outcome is Outcome.FAILED:
            others = [result for result in proof.card.results if result.kind is not Kind.CONTRACT]
            assert {result.outcome for result in others} <= {Outcome.NOT_RUN}, proof


def problems(proofs: Iterable[Proof]) -> list[str]:
    """What came out otherwise, of what was tried; the declaration is looked at above."""
    return [str(proof) for proof in proofs if proof.card and not proof.held]
