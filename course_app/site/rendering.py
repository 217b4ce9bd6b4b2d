"""Templates of pages' parts, and the addresses of places that open the course."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from course_app.authoring.contents import Course
from course_app.authoring.readme import README
from course_app.authoring.templating import SHARED, templates
from course_app.classroom.report import TEMPLATES
from course_app.errors import CourseError

HERE = Path(__file__).parent
#: Tells the configuration of Sphinx, in the environment, which course this is.
ROOT = "COURSE_ROOT"
#: How verdicts look, in the reports and here.
STYLES = SHARED / "verdicts.css"


@cache
def _environment() -> Environment:
    return templates(HERE / "templates", TEMPLATES)


def render(template: str, **values: Any) -> str:
    """A template's text, in one block: Markdown would end raw HTML at an empty line."""
    text = _environment().get_template(template).render(**values)
    return "\n".join(line for line in text.splitlines() if line.strip())


def places(course: Course) -> dict[str, str]:
    """The README's addresses by name: ``codespaces``, ``binder``, ``site``.

    Raises:
        CourseError: the README lost one of them.
    """
    text = (course.root / README).read_text(encoding="utf-8")
    found = dict(re.findall(r"^\[(codespaces|binder|site)\]: (\S+)$", text, re.MULTILINE))
    if len(found) < 3:
        raise CourseError(f"{README} needs a line `[codespaces]: ...`, one for binder and site.")
    return found
