"""What the README says of the lessons: their results and their order, never typed by hand."""

from collections.abc import Callable

from course_app.authoring.contents import EXERCISES, LESSONS, Course, Lesson, read_claims
from course_app.authoring.findings import Verdict, findings
from course_app.authoring.notebook import read_notebook
from course_app.system.files import replace_file

README = "README.md"
BEGIN, END = "<!-- results: written by course build -->", "<!-- end of results -->"
EVENING, END_EVENING = "<!-- evening: written by course build -->", "<!-- end of evening -->"
_HEAD = "| lesson | the guide says | measured here | time | exercise |\n|---|---|---|---|---|\n"


def write_results(course: Course) -> bool:
    """Bring the README's table and its path in line with the course; whether anything changed.

    What stands between no marks is left alone.
    """
    path = course.root / README
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    new = _between(text, BEGIN, END, lambda: results_table(course))
    new = _between(new, EVENING, END_EVENING, lambda: evening_path(course))
    if new != text:
        replace_file(path, new)
    return new != text


def _between(text: str, begin: str, end: str, write: Callable[[], str]) -> str:
    if begin not in text or end not in text:
        return text
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{write()}{end}{rest.split(end, 1)[1]}"


def evening_path(course: Course) -> str:
    """The lessons of the short path, with the minutes that they take; exercises come on top."""
    lessons = [
        f"{number}. [{lesson.number} {lesson.title}]({LESSONS}/{lesson.slug}.ipynb), "
        f"{lesson.minutes} min"
        for number, lesson in enumerate(course.evening, start=1)
    ]
    hours = sum(lesson.minutes for lesson in course.evening) / 60
    return "\n".join([*lessons, "", f"That makes {hours:.1f} hours, without the exercises.", ""])


def results_table(course: Course) -> str:
    """A row for each lesson that is built, with its first verdicts."""
    lessons = course.built(LESSONS)
    return _HEAD + "".join(_row(course, lesson) for lesson in lessons)


def _row(course: Course, lesson: Lesson) -> str:
    found = findings(read_notebook(course.notebook(LESSONS, lesson))).verdicts
    says = {claim.id: claim.says for claim in read_claims(course)}
    first = next((verdict for verdict in found if verdict.number), None)
    link = f"[{lesson.number} {lesson.title}]({LESSONS}/{lesson.slug}.ipynb)"
    guide, measured = (says[first.claim], _told(first)) if first else ("-", "-")
    exercise = "-"
    if course.is_built(EXERCISES, lesson):
        exercise = f"[{lesson.points} points]({EXERCISES}/{lesson.slug}.ipynb)"
    cells = (link, guide, measured, f"{lesson.minutes} min", exercise)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _told(verdict: Verdict) -> str:
    return f"**{verdict.verdict}**: {verdict.number}"
