"""The learner's door: check an answer, take a hint, see the solution and the progress.

Everything is one display each; in notebooks nothing goes to standard error.
"""

import atexit
import contextlib
import difflib
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import redis
from IPython.display import display

from course_app.authoring.contents import find_course
from course_app.authoring.markers import answer_cells
from course_app.errors import CourseError
from course_app.grading import Exercise
from course_app.grading.engine import Checker
from course_app.grading.evidence import Outcome
from course_app.grading.leaderboard import Leaderboard
from course_app.grading.progress import ProgressStore, Standing
from course_app.grading.scorecard import Scorecard
from course_app.measure.result import html_table, text_table
from course_app.progress import ProgressLine
from course_app.services import Services, start_services
from course_app.system import homes
from course_app.words import amount

_COLUMNS = ("exercise", "points", "of", "attempts", "hints", "state")


class UnknownExercise(CourseError):
    """There is no exercise of that name."""


@dataclass(frozen=True)
class Text:
    """A text with a heading: Markdown, which notebooks render; ``code`` is Python."""

    heading: str
    body: str
    code: bool = False

    @property
    def markdown(self) -> str:
        """Heading and body in Markdown; the reader's own theme highlights code."""
        fence = "````"  # longer than one that code may hold
        body = f"{fence}python\n{self.body}\n{fence}" if self.code else self.body
        return f"**{self.heading}**\n\n{body}"

    def __str__(self) -> str:
        return f"{self.heading}\n{self.body}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/markdown": self.markdown}


@dataclass(frozen=True)
class Progress:
    """Where the learner stands in every exercise that was tried or looked into."""

    standings: tuple[Standing, ...]

    @property
    def message(self) -> str:
        """Points and exercises passed, in a sentence."""
        tried = sum(standing.tried for standing in self.standings)
        if not tried:
            return "No exercise has been tried yet."
        passed = sum(standing.passed for standing in self.standings)
        points = sum(standing.best_points for standing in self.standings)
        return f"{amount(tried, 'exercise')} tried, {passed} passed, {points:g} points."

    def rows(self) -> list[tuple[str, ...]]:
        """One exercise a row."""
        return [
            (
                standing.exercise,
                f"{standing.best_points:g}",
                f"{standing.possible:g}",
                str(len(standing.attempts)),
                str(standing.hints_shown),
                standing.state,
            )
            for standing in self.standings
        ]

    def __str__(self) -> str:
        return f"{self.message}\n{text_table(_COLUMNS, self.rows())}".rstrip()

    def _repr_html_(self) -> str:
        return html_table(self.message, _COLUMNS, self.rows(), ())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def check(exercise: str, answer: object = None, **values: Any) -> Scorecard:
    """Check an answer here and now, against real servers; the last value of a cell shows it.

    Args:
        exercise: its name, such as ``"04_connection_pooling"``; the number is enough.
        answer: your ``create_app`` (or your ``app``, where the exercise needs no database).
        values: what else the exercise asks for, by name.

    Raises:
        UnknownExercise: there is none of that name.
    """
    known = load_exercise(exercise)
    with ProgressLine(f"Checking {known.slug}") as progress:
        card = _checker().check(known, answer, values=values, progress=progress)
    _record(card)
    return card


def points(exercise: str, answer: object = None, **values: Any) -> float:
    """Like :func:`check`, for nbgrader: shows the scorecard, and its value is the points.

    They are the course's: the most that the graded cell may give is what course.toml says, too.

    Raises:
        CourseError: some points are open, because the machine was too busy or something of ours
            failed. That is no result, and must not look like one.
    """
    card = check(exercise, answer, **values)
    display(card)  # type: ignore[no-untyped-call]
    if card.open_points:
        raise CourseError(f"{card.open_points:g} points are still open: grade again.")
    (lesson,) = find_course().select([card.exercise])
    return card.points * lesson.points / load_exercise(exercise).points


def check_file(path: Path, exercise: str | None = None) -> Scorecard:
    """Check a notebook or Python file in a process of its own.

    Args:
        exercise: the file's name tells which one it is, if not given.

    Raises:
        UnknownExercise: there is none of that name.
    """
    known = load_exercise(exercise or path.stem)
    with (
        ProgressLine(f"Checking {path.name}") as progress,
        Checker(_services, isolated=True) as checker,
    ):
        card = checker.check(known, path, progress=progress)
    _record(card)
    return card


def hint(exercise: str, number: int | None = None) -> Text:
    """The next hint; with ``number`` that one again.

    Raises:
        UnknownExercise: there is none of that name.
        CourseError: it has no hint of that number.
    """
    known = load_exercise(exercise)
    most = len(known.hints)
    if number is not None and not 1 <= number <= most:
        raise CourseError(f"There is no hint {number}: {known.slug} has hints 1 to {most}.")
    wanted = number or 1
    with _kept() as store:
        wanted = number or min(store.standing(known.slug).hints_shown + 1, most)
        store.update(known.slug, lambda now: replace(now, hints_shown=max(now.hints_shown, wanted)))
    more = (
        f"{most - wanted} more" if wanted < most else "the last one; solution(...) shows an answer"
    )
    return Text(f"Hint {wanted} of {most} ({more})", known.hints[wanted - 1])


def solution(exercise: str) -> Text:
    """A good answer. Compare it with yours; there may be better ones.

    Raises:
        UnknownExercise: there is none of that name.
        CourseError: the course's texts are not here, or hold none of this exercise.
    """
    known = load_exercise(exercise)
    answer = _answer(known.slug)
    with _kept() as store:
        store.update(known.slug, lambda now: replace(now, solution_shown=True))
    return Text(known.title, answer, code=True)


def progress() -> Progress:
    """Where you stand in every exercise that you tried or looked into."""
    store = ProgressStore()
    standings = tuple(_with_possible(standing) for standing in store.all())
    _tell(store)
    return Progress(standings)


def leaderboard(exercise: str) -> Leaderboard:
    """Your own attempts that were right, the fastest first.

    Raises:
        UnknownExercise: there is none of that name.
    """
    store = ProgressStore()
    standing = store.standing(load_exercise(exercise).slug)
    _tell(store)
    return Leaderboard.of(standing)


def reset(exercise: str) -> Text:
    """Forget points, attempts and hints of one exercise.

    Raises:
        UnknownExercise: there is none of that name.
        CourseError: the folder of the progress cannot be written to.
    """
    known, store = load_exercise(exercise), ProgressStore()
    try:
        done = store.reset(known.slug)
    except OSError as error:
        why = f"{store.folder}: {error.strerror or error}"
        raise CourseError(f"The progress of {known.slug} was not forgotten: {why}.") from error
    return Text(
        known.slug, "Forgotten: you start anew." if done else "There was nothing to forget."
    )


def load_exercise(name: str) -> Exercise:
    """The exercise of that name; its number is enough.

    Raises:
        UnknownExercise: there is none; the message lists those that resemble it.
    """
    number, _, word = name.partition("_")
    modules = _module_names()
    for module in (word, name, f"{word or name}_"):  # `async` is no name for a module
        if module in modules:
            return _exercise(module)
    slugs = {_exercise(module).slug: module for module in modules}
    for slug, module in slugs.items():
        if number.isdecimal() and not word and slug.startswith(f"{int(number):02d}_"):
            return _exercise(module)
    close = difflib.get_close_matches(name, slugs, n=3, cutoff=0.3) or sorted(slugs)
    raise UnknownExercise(f"There is no exercise {name!r}. Did you mean {', '.join(close)}?")


def _answer(slug: str) -> str:
    """All of the answer: the solution's cells, which only the course's own text tells apart.

    Not the source of the exercise's ``reference``: that is one function of many, made to be graded.
    """
    course = find_course()
    (lesson,) = course.select([slug])
    path = course.source("exercises", lesson)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            f"The solution of {slug} is not here: {course.root} has no content/exercises/"
            f"{path.name}. Work in a complete copy of the course, or ask who gave you this one."
        ) from None
    return "\n\n\n".join(answer_cells(text, path.name))


def _with_possible(standing: Standing) -> Standing:
    """An exercise that was not tried yet has no scorecard that says what it is worth."""
    with contextlib.suppress(UnknownExercise):  # of another version of the course
        return replace(standing, possible=load_exercise(standing.exercise).points)
    return standing


def _module_names() -> list[str]:
    package = import_module("course_app.exercises")
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def _exercise(module: str) -> Exercise:
    exercise = import_module(f"course_app.exercises.{module}").exercise
    assert isinstance(exercise, Exercise)
    return exercise


@cache
def _checker() -> Checker:
    """One for the whole notebook, so that the second check starts at once."""
    checker = Checker(_services)
    atexit.register(checker.close)
    return checker


def _services() -> Services:
    """Those of the open lab, if there is one: a check needs databases, not servers of its own."""
    lab = getattr(sys.modules.get("course_app.lab"), "Lab", None)
    running = getattr(lab, "_open", None)
    services = running.services if running is not None else _own_services()
    assert isinstance(services, Services)
    return services


_OWN: list[Services] = []
_ANSWER_SECONDS = 5


def _own_services() -> Services:
    """Started once, and again if somebody has ended them: a notebook may be open for days."""
    if _OWN and not _running(_OWN[0]):
        _OWN.pop().stop()
    if not _OWN:
        _OWN.append(start_services(dataset=False))  # each check clones databases of its own
    return _OWN[0]


def _running(services: Services) -> bool:
    """Both answer."""
    try:
        psycopg.connect(services.postgres_dsn, connect_timeout=_ANSWER_SECONDS).close()
        with redis.Redis.from_url(services.valkey_url, socket_timeout=_ANSWER_SECONDS) as valkey:
            return bool(valkey.ping())
    except (psycopg.Error, redis.RedisError, OSError):
        return False


def _record(card: Scorecard) -> None:
    """Keep every attempt that came to a verdict."""
    if card.outcome in (Outcome.NOT_ATTEMPTED, Outcome.COULD_NOT_CHECK):
        return
    with _kept() as store:
        store.record(card)


@contextlib.contextmanager
def _kept() -> Iterator[ProgressStore]:
    """For what is kept beside a result: where that fails it is said, and the result still shown."""
    store = ProgressStore()
    try:
        yield store
    except OSError as error:
        store.messages.append(homes.not_kept(store.folder, error))
    _tell(store)


def _tell(store: ProgressStore) -> None:
    for message in store.messages:
        display(Text("Progress", message))  # type: ignore[no-untyped-call]
