"""The README's table of results: what the committed notebooks measured, never typed by hand."""

from course_app.authoring.contents import EXERCISES, LESSONS, Course, Lesson, read_claims
from course_app.authoring.findings import Verdict, findings
from course_app.authoring.notebook import read_notebook

README = "README.md"
BEGIN, END = "<!-- results: written by course build -->", "<!-- end of results -->"
_HEAD = "| lesson | the guide says | measured here | time | exercise |\n|---|---|---|---|---|\n"


def write_results(course: Course) -> bool:
    """Bring the README's table in line with the notebooks; whether it changed.

    A README without the two marks is left alone.
    """
    path = course.root / README
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if BEGIN not in text or END not in text:
        return False
    before, rest = text.split(BEGIN, 1)
    new = f"{before}{BEGIN}\n{results_table(course)}{END}{rest.split(END, 1)[1]}"
    path.write_text(new, encoding="utf-8")
    return new != text


def results_table(course: Course) -> str:
    """A row for each lesson that is built, with its first verdicts."""
    lessons = [x for x in course.lessons if course.notebook(LESSONS, x).is_file()]
    return _HEAD + "".join(_row(course, lesson) for lesson in lessons)


def _row(course: Course, lesson: Lesson) -> str:
    found = findings(read_notebook(course.notebook(LESSONS, lesson))).verdicts
    says = {claim.id: claim.says for claim in read_claims(course)}
    first = next((verdict for verdict in found if verdict.number), None)
    link = f"[{lesson.number} {lesson.title}]({LESSONS}/{lesson.slug}.ipynb)"
    guide, measured = (says[first.claim], _told(first)) if first else ("-", "-")
    exercise = "-"
    if course.notebook(EXERCISES, lesson).is_file():
        exercise = f"[{lesson.points} points]({EXERCISES}/{lesson.slug}.ipynb)"
    cells = (link, guide, measured, f"{lesson.minutes} min", exercise)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _told(verdict: Verdict) -> str:
    return f"**{verdict.verdict}**: {verdict.number}"
