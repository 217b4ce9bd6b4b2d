"""Text to notebook: the same bytes each time, and nothing in it that changes by itself."""

import json
import re

import nbformat
import pytest

from course_app.authoring.notebook import (
    as_text,
    edited_by_hand,
    keep_versions_out,
    make_notebook,
)
from course_app.errors import CourseError

TEXT = '# %% [markdown]\n# # A title\n\n# %% tags=["keep"] other="drop"\nx = 1\n\n# %% A name\nx\n'


def test_the_same_text_gives_the_same_bytes() -> None:
    assert as_text(make_notebook(TEXT, "00_x")) == as_text(make_notebook(TEXT, "00_x"))


def test_cell_ids_come_from_the_lesson_and_the_position() -> None:
    notebook = make_notebook(TEXT, "00_start_here")
    assert [cell.id for cell in notebook.cells] == [f"00_start_here-00{n}" for n in range(3)]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell.id) for cell in notebook.cells)


def test_only_the_metadata_that_readers_need_is_kept() -> None:
    notebook = make_notebook(TEXT, "00_x")
    assert set(notebook.metadata) == {"kernelspec", "language_info", "course"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert [dict(cell.metadata) for cell in notebook.cells] == [{}, {"tags": ["keep"]}, {}]


def test_what_is_written_is_a_valid_notebook() -> None:
    nbformat.validate(nbformat.reads(as_text(make_notebook(TEXT, "00_x")), as_version=4))


def test_what_jupyterlab_saves_after_reading_is_the_file_that_was_built() -> None:
    built = as_text(make_notebook(TEXT, "00_x"))
    content = nbformat.reads(built, as_version=4)
    content.metadata.language_info.version = "3.99.1"
    keep_versions_out({"type": "notebook", "content": content})
    assert nbformat.writes(content) + "\n" == built


def test_numbers_are_written_as_a_browser_saves_them() -> None:
    notebook = make_notebook(TEXT, "00_x")
    values = {"cores": 2.0, "waits": [0.0, -0.0, 0.25, 1e20], "none": None, "held": True}
    notebook.cells[1].outputs = [
        nbformat.v4.new_output("display_data", {"application/vnd.course.verdict+json": values})
    ]
    text = as_text(notebook)
    json.loads(text, parse_float=of_a_browser)
    assert '"cores": 2,' in text
    assert '"held": true' in text
    assert notebook.cells[1].outputs[0].data["application/vnd.course.verdict+json"] == values


def of_a_browser(literal: str) -> float:
    """A number of a file; fails for one that JavaScript would write without its point."""
    number = float(literal)
    if number.is_integer():
        pytest.fail(f"{literal} would be saved without its point")
    return number


def test_a_notebook_of_ones_own_is_saved_as_it_is() -> None:
    content = {"metadata": {"language_info": {"name": "R"}}}
    keep_versions_out({"type": "notebook", "content": content})
    keep_versions_out({"type": "file", "content": "text"})
    assert content == {"metadata": {"language_info": {"name": "R"}}}


def test_a_change_by_hand_is_noticed_and_outputs_are_none() -> None:
    notebook = make_notebook(TEXT, "00_x")
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="1")]
    assert not edited_by_hand(notebook)
    notebook.cells[1].source = "x = 2"
    assert edited_by_hand(notebook)


def test_a_text_without_cells_is_refused() -> None:
    with pytest.raises(CourseError, match="holds no cell"):
        make_notebook("", "00_x")
