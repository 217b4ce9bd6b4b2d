"""``course progress``: where the learner stands in every exercise, and how predictions went."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from course_app.cli.answer import aside, with_exercise
from course_app.cli.console import Json, output, print_json

if TYPE_CHECKING:
    from course_app.authoring.contents import Course
    from course_app.grading import Standing
    from course_app.learn import Progress
    from course_app.predictions import Kept


def progress(json: Json = False) -> None:
    """Show points, attempts and hints of every exercise, tried or not, and all predictions."""
    from course_app import learn
    from course_app.authoring.contents import find_course
    from course_app.predictions import Predictions

    with aside():
        tried = learn.progress()
    standings = _with_untried(find_course(), tried.standings)
    kept = Predictions().all()
    if json:
        exercises = [_to_dict(standing) for standing in standings]
        print_json({"exercises": exercises, "predictions": [asdict(each) for each in kept]})
    else:
        _print(tried, standings)
        _print_predictions(kept)


def _with_untried(course: "Course", tried: "Sequence[Standing]") -> "list[Standing]":
    """Standings in teaching order; those of exercises that were not tried are empty."""
    from course_app.grading import Standing

    known = {standing.exercise: standing for standing in tried}
    for lesson in with_exercise(course):
        known.setdefault(lesson.slug, replace(Standing(lesson.slug), possible=lesson.points))
    return [known[slug] for slug in sorted(known)]


def _print(tried: "Progress", standings: "Sequence[Standing]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(("Exercise", "Points", "Attempts", "Hints", "State")):
        table.add_column(name, justify="right" if 0 < index < 4 else "left")
    for standing in standings:
        table.add_row(
            standing.exercise,
            f"{standing.best_points:g} / {standing.possible:g}",
            str(len(standing.attempts)),
            str(standing.hints_shown),
            _state(standing),
        )
    output().print(tried.message)
    output().print(table)


def _print_predictions(kept: "Sequence[Kept]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from course_app.measure.prediction import in_digits
    from course_app.measure.statistics import significant
    from course_app.predictions import calibration

    output().print(f"\n{calibration(list(kept))}")
    table = Table("Lesson", "Predicted", "Measured", "What", box=None, pad_edge=False)
    for each in kept:
        mark = "[green]✓[/] " if each.good else ""
        told = (each.lesson, significant(each.predicted), in_digits(each.interval), each.what)
        lesson, predicted, measured, what = map(escape, told)
        table.add_row(lesson, predicted, measured, f"{mark}{what}")
    if kept:
        output().print(table)


def _state(standing: "Standing") -> str:
    return f"[green]✓ {standing.state}[/]" if standing.passed else standing.state


def _to_dict(standing: "Standing") -> dict[str, Any]:
    return {
        "exercise": standing.exercise,
        "points": standing.best_points,
        "possible": standing.possible,
        "passed": standing.passed,
        "attempts": len(standing.attempts),
        "hints": standing.hints_shown,
        "solution_seen": standing.solution_shown,
    }
