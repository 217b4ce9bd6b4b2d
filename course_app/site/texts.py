"""The pages that are no notebooks: the front page and its sisters from the README, and the docs."""

import re
import shutil
from pathlib import Path

from course_app.authoring.contents import EXERCISES, LESSONS, Course
from course_app.authoring.findings import findings
from course_app.authoring.notebook import read_notebook
from course_app.authoring.readme import README
from course_app.authoring.report import Report, make_report
from course_app.authoring.run import LessonRun
from course_app.classroom.machines import DATA_FOLDER, read_machines
from course_app.errors import CourseError
from course_app.site.rendering import render

#: Which of the README's sections make which page; what is in none is a mistake.
_FRONT = (
    *("Start", "One evening", "What you will learn"),
    *("How this differs from reading a guide", "How it measures"),
)
_USING = (
    *("Who does what", "When something does not work", "Where to run it"),
    *("Your own servers", "Licence"),
)
#: Pages beside lessons, by heading, in order. Those that do not exist are left out; other docs
#: come after the reader's own.
_FOR_YOURSELF = ("using", "docs/examine", "docs/lab", "docs/glossary")
_FOR_TEACHERS = ("docs/instructors", "docs/workshop", "CONTRIBUTING")
_FOUND = ("verdicts", "machines")

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BADGE = re.compile(r"^\[(!\[.*badge|.*\]\[site\]).*$\n?", re.MULTILINE)
_FIGURE = re.compile(r"!\[[^\]]*\]\((docs/figures/([^)]+))\)")
_LINKED_FIGURE = re.compile(rf"\[{_FIGURE.pattern}\]\(notebooks/(\w+)\.ipynb\)")
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def write_texts(course: Course, sources: Path) -> None:
    """Write all pages but the notebooks'."""
    (sources / "docs").mkdir()
    for path in (course.root / "docs").iterdir():
        if path.is_file():
            shutil.copy(path, sources / "docs")
    for name in ("CONTRIBUTING.md", "LICENSE"):
        shutil.copy(course.root / name, sources / name)
    report = _committed(course)
    pages = {
        "verdicts.md": f"# What the lessons found\n\n{render('found.html', report=report)}\n",
        "machines.md": _machines(course),
    }
    for name, text in {**_from_readme(course), **pages}.items():
        (sources / name).write_text(text, encoding="utf-8")
    with (sources / "index.md").open("a", encoding="utf-8") as index:
        index.write(_contents(course, sources))


def _committed(course: Course) -> Report:
    """The run that the committed notebooks show."""
    runs = [
        LessonRun(lesson, 0.0, read_notebook(course.notebook(LESSONS, lesson)), None)
        for lesson in course.built(LESSONS)
    ]
    return make_report(course, runs)


def _machines(course: Course) -> str:
    data = read_machines(course.root / DATA_FOLDER)
    body = render("machines_body.html", machines=data, claims=data.spreads(course))
    ran = [len(entry.results.lessons) for entry in data.entries]
    whole = sum(count >= len(course.built(LESSONS)) for count in ran)
    told = (
        f"These are the {len(ran)} runs that come with the course; {whole} of them ran all lessons."
    )
    return f"# One claim, many machines\n\n{told}\n\n{body}\n"


def _from_readme(course: Course) -> dict[str, str]:
    text = (course.root / README).read_text(encoding="utf-8")
    opening, *rest = _SECTION.split(text)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    if set(sections) != {*_FRONT, *_USING}:
        odd = ", ".join(sorted(set(sections) ^ {*_FRONT, *_USING}))
        raise CourseError(f"{README}: the site knows no page for: {odd}. Name it in site/texts.py.")
    addresses = "\n".join(re.findall(r"^\[\w+\]: \S+$", text, re.MULTILINE))
    pages = {
        "index.md": opening + _joined(sections, _FRONT),
        "using.md": "# Using the course\n\n" + _joined(sections, _USING),
    }
    return {
        name: f"{_for_the_site(page, course.root)}\n\n{addresses}\n" for name, page in pages.items()
    }


def _joined(sections: dict[str, str], names: tuple[str, ...]) -> str:
    return "".join(f"## {name}\n{_without_addresses(sections[name])}" for name in names)


def _without_addresses(text: str) -> str:
    return re.sub(r"^\[\w+\]: \S+$\n?", "", text, flags=re.MULTILINE)


def _for_the_site(text: str, root: Path) -> str:
    """Badges are fetched from elsewhere, comments are for who edits, the site need not name itself;
    figures follow the theme."""
    text = _COMMENT.sub("", _BADGE.sub("", text))
    text = text.replace("](#start)", "](index.md#start)")

    def linked(match: re.Match[str]) -> str:
        place = f"{LESSONS}/{match[3]}.html#{_anchor(root, match[2], match[3])}"
        return f'<a href="{place}">{_figure(root, match[2])}</a>'

    text = _LINKED_FIGURE.sub(linked, text)
    return _FIGURE.sub(lambda match: _figure(root, match[2]), text)


def _figure(root: Path, name: str) -> str:
    head = _svg(root, name)[:4000]
    said = re.search(r'aria-label="([^"]*)"', head)
    return f'<img class="course-figure" src="figures/{name}" alt="{said[1] if said else name}">'


def _anchor(root: Path, name: str, slug: str) -> str:
    """Which figure of a lesson this is.

    Raises:
        CourseError: the lesson has no such figure.
    """
    svg = _svg(root, name)
    lesson = read_notebook(root / LESSONS / f"{slug}.ipynb")
    numbers = [n for n, p in enumerate(findings(lesson).pictures, start=1) if p.svg == svg]
    if not numbers:
        raise CourseError(
            f"docs/figures/{name} is no figure of {slug}: run `course build --execute "
            f"{slug[:2]}`, or link another lesson in {README}."
        )
    return f"figure-{numbers[0]}"


def _svg(root: Path, name: str) -> str:
    try:
        return (root / "docs" / "figures" / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(
            f"{README} shows docs/figures/{name}, which does not exist: correct its name."
        ) from None


def _contents(course: Course, sources: Path) -> str:
    """The trees of pages that the sidebar shows and that previous and next go along."""

    def there(names: tuple[str, ...]) -> list[str]:
        return [name for name in names if (sources / f"{name}.md").is_file()]

    def notebooks(tree: str) -> list[str]:
        return [f"{tree}/{lesson.slug}" for lesson in course.built(tree)]

    docs = {f"docs/{path.stem}" for path in (sources / "docs").glob("*.md")}
    others = docs - {*_FOR_YOURSELF, *_FOR_TEACHERS}
    trees = {
        "Lessons": notebooks(LESSONS),
        "Exercises": notebooks(EXERCISES),
        "What was found": there(_FOUND),
        "For your own work": there(_FOR_YOURSELF) + sorted(others),
        "For teachers and maintainers": there(_FOR_TEACHERS),
    }
    blocks = [
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```", ""])
        for caption, names in trees.items()
    ]
    return "".join(blocks)
