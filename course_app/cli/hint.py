"""``course hint``: help with an exercise, a little at a time."""

from typing import Annotated

import typer

from course_app.cli.answer import Number, aside, find_exercise
from course_app.cli.console import output

Again = Annotated[
    int | None, typer.Option("--number", metavar="N", min=1, help="Show that hint (again).")
]


def hint(exercise: Number, number: Again = None) -> None:
    """Show an exercise's next hint, from a nudge to nearly the answer."""
    from rich.markdown import Markdown

    from course_app import learn
    from course_app.authoring.contents import SOLUTIONS

    course, lesson = find_exercise(exercise)
    with aside():
        text = learn.hint(lesson.slug, number)
    if output().is_terminal:
        output().print(Markdown(text.markdown))
    else:
        output().print(str(text), markup=False)
    solution = course.notebook(SOLUTIONS, lesson)
    if text.body == learn.load_exercise(lesson.slug).hints[-1] and solution.is_file():
        output().print(f"An answer to compare with: {SOLUTIONS}/{solution.name}", soft_wrap=True)
