"""The report of a run: every claim, every lesson, and nothing from elsewhere."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course_app.authoring.contents import Course, find_course
from course_app.authoring.execute import CellFailed
from course_app.authoring.findings import findings
from course_app.authoring.notebook import make_notebook
from course_app.authoring.pages import write_report
from course_app.authoring.report import make_report
from course_app.authoring.run import (
    GOING_FURTHER,
    LessonRun,
    core_of,
    expected_seconds,
    run_lessons,
)
from course_app.errors import CourseError
from course_app.measure.claim import ClaimVerdict
from course_app.measure.machine import MACHINE_MIME
from course_app.measure.statistics import Interval
from course_app.plots import Figure

FIGURE = Figure("Pool: 9x & more", "<svg></svg>", b"", 672)


def verdict(claim: str, proposed: str = "holds", held: bool | None = True) -> dict[str, Any]:
    """What a lesson shows for a claim."""
    shown = ClaimVerdict(claim, proposed, "Because.", {"it is so": held}, Interval(9.12, 8.5, 9.8))
    return shown._repr_mimebundle_()


def display(data: dict[str, Any], **metadata: Any) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


def data_of(figure: Figure) -> dict[str, Any]:
    """What a notebook keeps of a figure, but for its stand-in."""
    return {"text/html": figure._repr_mimebundle_()[0]["text/html"]}


def notebook_with(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A lesson whose second cell has these outputs."""
    links = "[pools](01_pool.ipynb), [its exercise](../exercises/01_pool.ipynb)"
    text = f"# %% [markdown]\n# See {links}\n\n# %%\nx < 1\n"
    notebook = make_notebook(text, "00_start_here")
    notebook.cells[1].outputs = list(outputs)
    return notebook


def lesson_run(course: Course, *outputs: nbformat.NotebookNode, number: int = 0) -> LessonRun:
    return LessonRun(course.lessons[number], 65.4, notebook_with(*outputs), None)


def index(course: Course, *runs: LessonRun) -> str:
    """The text of the report's front page."""
    return write_report(make_report(course, runs)).read_text()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("", "9.1x [8.5, 9.8]"),
        ("54x for reports, 1.78x for users", "54x [8.5, 9.8] for reports, 1.78x for users"),
        ("3 of 4 pages", "3 of 4 pages [8.5, 9.8]"),
        ("24x [7.2, 81] with 0 stale lists", "24x [7.2, 81] with 0 stale lists"),
    ],
)
def test_an_interval_stands_beside_the_factor_that_it_belongs_to(number: str, shown: str) -> None:
    told = ClaimVerdict("9", "wrong", "Because.", {"so": True}, Interval(9.12, 8.5, 9.8), number)
    shown_there = findings(notebook_with(display(told._repr_mimebundle_()))).verdicts
    assert [each.number for each in shown_there] == [shown]


def test_verdicts_are_found_with_number_interval_and_conditions() -> None:
    found = findings(notebook_with(display(verdict("9", "wrong")))).verdicts[0]
    assert (found.claim, found.verdict, found.number) == ("9", "wrong", "9.1x [8.5, 9.8]")
    assert [(c.text, c.held) for c in found.conditions] == [("it is so", True)]


def test_the_last_verdict_on_a_claim_counts() -> None:
    outputs = [display(verdict("9", "wrong")), display(verdict("9", "outdated"))]
    assert [v.verdict for v in findings(notebook_with(*outputs)).verdicts] == ["outdated"]


@pytest.mark.parametrize(("svg", "kind"), [("<svg></svg>", "svg+xml"), (None, "png")])
def test_a_figure_is_one_picture_with_its_message_and_width(svg: str | None, kind: str) -> None:
    shown = display(data_of(replace(FIGURE, svg=svg)))
    (picture,) = findings(notebook_with(shown)).pictures
    assert (picture.title, picture.width, picture.svg) == ("Pool: 9x & more", 672, svg)
    assert picture.uri.startswith(f"data:image/{kind};base64,")


def test_every_claim_has_a_row_also_without_a_verdict(course: Course) -> None:
    report = make_report(course, [lesson_run(course, display(verdict("1", "wrong")))])
    assert report.counts == {"wrong": 1, "not measured in this run": 1}
    page = write_report(report).read_text()
    assert "A stopwatch measures &lt;everything&gt;." in page
    assert "not measured in this run" in page
    assert "9.1x [8.5, 9.8]" in page


def test_two_lessons_verdicts_on_one_claim_are_both_shown(course: Course) -> None:
    runs = [
        lesson_run(course, display(verdict("1", "holds"))),
        lesson_run(course, display(verdict("1", "outdated")), number=1),
    ]
    page = index(course, *runs)
    assert 'class="badge holds"' in page
    assert 'class="badge outdated"' in page


def test_a_condition_that_did_not_hold_is_said_in_words(course: Course) -> None:
    page = index(course, lesson_run(course, display(verdict("1", held=False))))
    assert "not confirmed here" in page
    assert "✗ did not hold: it is so" in page


def test_the_machine_card_is_shown(course: Course) -> None:
    card = {MACHINE_MIME: {"cores": 2, "memory_gib": 23.49, "noise": "busy"}}
    page = index(course, lesson_run(course, display(card)))
    assert "<dt>Memory, GiB</dt><dd>23.5</dd>" in page
    assert "Others used this machine" in page


def test_a_failed_lesson_is_shown_with_its_cell_and_error(course: Course) -> None:
    error = nbformat.v4.new_output("error", ename="E", evalue="x", traceback=["\x1b[31mKeyError"])
    notebook = notebook_with(error)
    failure = CellFailed("00_start_here", notebook, 1, "KeyError: <b>")
    page = index(course, LessonRun(course.lessons[0], 1, notebook, failure))
    assert "failed after 1 s" in page
    assert "KeyError: &lt;b&gt;" in page
    assert "x &lt; 1" in page
    assert "\x1b" not in page


def test_a_report_of_no_lesson_is_still_a_report(course: Course) -> None:
    assert "No lesson was run." in index(course)


def test_the_lessons_page_shows_text_code_and_outputs(course: Course) -> None:
    run = lesson_run(
        course,
        nbformat.v4.new_output("stream", text="plain <text>"),
        display({"text/html": "<b>rich</b>", "text/plain": "poor"}),
        display(data_of(FIGURE)),
    )
    write_report(make_report(course, [run]))
    page = (course.root / "build/report/00_start_here.html").read_text()
    for shown in ("plain &lt;text&gt;", "<b>rich</b>", 'alt="Pool: 9x &amp; more"', "<span"):
        assert shown in page
    assert "poor" not in page


def test_links_of_a_lesson_lead_to_pages_of_the_report_or_to_the_notebooks(course: Course) -> None:
    runs = [lesson_run(course), lesson_run(course, number=1)]
    write_report(make_report(course, runs))
    page = (course.root / "build/report/00_start_here.html").read_text()
    assert 'href="01_pool.html"' in page
    assert 'href="../../exercises/01_pool.ipynb"' in page
    write_report(make_report(course, runs[:1]))
    page = (course.root / "build/report/00_start_here.html").read_text()
    assert 'href="../../notebooks/01_pool.ipynb"' in page
    assert not (course.root / "build/report/01_pool.html").exists()


def test_no_page_needs_anything_from_elsewhere(course: Course) -> None:
    card = {MACHINE_MIME: {"cores": 2, "noise": "calm"}}
    run = lesson_run(course, display(card), display(data_of(FIGURE)))
    write_report(make_report(course, [run]))
    for path in (course.root / "build/report").glob("*.html"):
        page = path.read_text()
        assert "<script" not in page
        assert "<link" not in page
        assert "@import" not in page
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_programs_read_the_same_in_json(course: Course) -> None:
    page = write_report(make_report(course, [lesson_run(course, display(verdict("1")))]))
    data = json.loads((page.parent / "report.json").read_text())
    assert [(c["id"], c["verdict"]) for c in data["claims"]] == [
        ("1", "holds"),
        ("T1", "not measured in this run"),
    ]
    assert data["lessons"][0]["passed"] is True


def test_the_time_that_lessons_took_is_expected_the_next_time(course: Course) -> None:
    assert set(expected_seconds(course, course.lessons).values()) == {50.0}
    write_report(make_report(course, [lesson_run(course)]))
    assert expected_seconds(course, course.lessons) == {"00_start_here": 65.4, "01_pool": 50.0}


@pytest.mark.parametrize("text", ["", "[]", '{"lessons": [{}]}', "{"])
def test_a_damaged_earlier_report_does_no_harm(course: Course, text: str) -> None:
    (course.root / "build/report").mkdir(parents=True)
    (course.root / "build/report/report.json").write_text(text)
    assert set(expected_seconds(course, course.lessons).values()) == {50.0}


@pytest.mark.slow
def test_what_goes_further_can_be_left_out(course: Course) -> None:
    text = "# %%\n1 + 1\n\n# %% [markdown]\n# ## Going further (optional)\n\n# %%\n1 / 0\n"
    (course.root / "content/lessons/00_start_here.py").write_text(text)
    first = course.lessons[:1]
    (core,) = run_lessons(course, first, core=True, progress=lambda *_: None)
    assert core.failure is None
    assert [cell.source for cell in core.notebook.cells] == ["1 + 1"]
    (whole,) = run_lessons(course, first, progress=lambda *_: None)
    assert whole.failure


def test_going_further_begins_a_cell_and_comes_last() -> None:
    lessons = find_course(Path(__file__)).root / "content/lessons"
    for source in sorted(lessons.glob("*.py")):
        cells = make_notebook(source.read_text(encoding="utf-8"), source.stem).cells
        marked = [cell.source for cell in cells if GOING_FURTHER in cell.source]
        assert all(text.startswith(GOING_FURTHER) for text in marked), source.name
        core = core_of(nbformat.v4.new_notebook(cells=cells)).cells
        assert not any("lab.verdict" in cell.source for cell in cells[len(core) :]), source.name


@pytest.mark.slow
def test_a_failing_lesson_does_not_stop_the_next(course: Course) -> None:
    lessons: Path = course.root / "content/lessons"
    (lessons / "01_pool.py").write_text(lessons.joinpath("00_start_here.py").read_text())
    (lessons / "00_start_here.py").write_text("# %%\nraise RuntimeError('no')\n")
    seen: list[str] = []
    runs = list(run_lessons(course, course.lessons, progress=lambda x, *_: seen.append(x.slug)))
    assert [isinstance(run.failure, CourseError) for run in runs] == [True, False]
    assert dict.fromkeys(seen) == dict.fromkeys(["00_start_here", "01_pool"])
