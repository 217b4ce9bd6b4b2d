"""Lay out the pages' sources, then let Sphinx make the site.

The sources keep the layout of the repository, so that links between them mean the same in both.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from course_app.authoring.contents import EXERCISES, LESSONS, Course
from course_app.errors import CourseError
from course_app.site.lessons import write_exercise, write_lesson
from course_app.site.rendering import HERE, ROOT, STYLES
from course_app.site.terms import read_terms
from course_app.site.texts import write_texts

#: Where the site is, below the folder of everything that is built.
SITE_FOLDER = "site"
_SOURCES = "site-sources"
#: What goes into the site as it is.
_EXTRA = "extra"
#: What Sphinx says last, if it says anything: a mistake in a page is there.
_LAST_LINES = 40


def build_site(course: Course, build: Path) -> Path:
    """Build the whole site anew; returns its front page. Warnings are errors.

    Args:
        build: a folder; the site gets ``site`` in it, and its sources a folder beside that.

    Raises:
        CourseError: Sphinx is not installed, or found a mistake in a page.
    """
    if find_spec("sphinx_book_theme") is None or find_spec("myst_nb") is None:
        raise CourseError("What builds the site is not installed: run `make site`.")
    sources, target = build / _SOURCES, build / SITE_FOLDER
    for folder in (sources, target):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(course, sources)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-j", "auto"]
    done = subprocess.run(
        [*command, "-d", str(sources / ".doctrees"), str(sources), str(target)],
        env={**os.environ, ROOT: str(course.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).splitlines()[-_LAST_LINES:])
        raise CourseError(f"The site was not built; correct what Sphinx names:\n{said}")
    for unread in (*target.rglob("*.map"), *target.rglob("*webpack-macros.html")):
        unread.unlink()
    return target / "index.html"


def lay_out(course: Course, sources: Path) -> None:
    """Write everything that Sphinx reads into ``sources``."""
    extra = sources / _EXTRA
    extra.mkdir(parents=True)
    shutil.copy(HERE / "conf.py", sources)
    shutil.copytree(HERE / "static", sources / "_static")
    shutil.copy(STYLES, sources / "_static")
    shutil.copytree(course.root / "docs" / "figures", extra / "figures")
    terms = read_terms(course.root)
    for lesson in course.built(LESSONS):
        write_lesson(course, lesson, sources, extra, terms)
    for lesson in course.built(EXERCISES):
        write_exercise(course, lesson, sources, terms)
    write_texts(course, sources)
