"""The glossary's terms are linked once in a lesson, in its prose and nowhere else."""

from pathlib import Path

from nbformat.v4 import new_markdown_cell, new_notebook

from course_app.authoring.contents import LESSONS, find_course
from course_app.authoring.notebook import read_notebook
from course_app.site.terms import link_terms, read_terms

COURSE = find_course(Path(__file__))
POOL = "](../docs/glossary.md#connection-pool)"
TAIL = "](../docs/glossary.md#percentile-p50-p90-p99)"


def linked(*texts: str) -> list[str]:
    notebook = new_notebook(cells=[new_markdown_cell(text) for text in texts])
    link_terms(notebook, read_terms(COURSE.root))
    return [cell.source for cell in notebook.cells]


def test_only_the_first_use_is_linked() -> None:
    assert linked("A connection pool.", "Connection pools again.") == [
        f"A [connection pool{POOL}.",
        "Connection pools again.",
    ]


def test_a_heading_names_several_words_for_one_term() -> None:
    assert linked("Its p99 and p50.") == [f"Its [p99{TAIL} and p50."]


def test_code_links_and_headings_are_left_alone() -> None:
    text = "# Latency\n\n`latency` [latency](x.md) <b title='latency'>\n\n```\nlatency\n```"
    assert linked(text) == [text]


def test_what_is_unfolded_by_a_click_and_addresses_are_left_alone() -> None:
    text = "<details><summary>What is\nlatency?</summary>\n\n[a]: https://latency.example"
    assert linked(text) == [text]


def test_a_text_under_a_heading_is_prose() -> None:
    (text,) = linked("## Read on\n\nIts p99.")
    assert text == f"## Read on\n\nIts [p99{TAIL}."


def test_every_lesson_links_terms_that_the_glossary_has() -> None:
    terms = read_terms(COURSE.root)
    assert len({term.anchor for term in terms}) == len(terms)
    for lesson in COURSE.lessons:
        path = COURSE.notebook(LESSONS, lesson)
        if path.is_file():
            cells = read_notebook(path).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
            assert any(term.pattern.search(text) for term in terms), f"no term in {lesson.slug}"
