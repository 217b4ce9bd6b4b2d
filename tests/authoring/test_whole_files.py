"""What is written anew in its place stays whole where the disk is full."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from test_results import results

from course_app.authoring.contents import Course
from course_app.authoring.figures import save_figures
from course_app.authoring.notebook import make_notebook
from course_app.authoring.readme import BEGIN, END, README, write_results
from course_app.authoring.reference import PAGE, write_reference
from course_app.plots import Figure

FIGURE = Figure("Pool: 9x", "<svg></svg>", b"png", 672)


def save_readme_figure(course: Course) -> None:
    notebook = make_notebook('# %% tags=["readme"]\nplot()\n', "00_start_here")
    html = FIGURE._repr_mimebundle_()[0]["text/html"]
    notebook.cells[0].outputs = [{"output_type": "display_data", "data": {"text/html": html}}]
    save_figures(notebook, course.root, "00_start_here")


WRITERS: dict[str, Callable[[Course], object]] = {
    README: write_results,
    PAGE: write_reference,
    "results.json": lambda course: results(course).save(course.root / "results.json"),
    "docs/figures/00_start_here.svg": save_readme_figure,
    "mine.svg": lambda course: FIGURE.save(course.root / "mine.svg"),
    "mine.png": lambda course: FIGURE.save(course.root / "mine.png"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole(
    course: Course, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = course.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{BEGIN}\nold\n{END}")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def in_place(path: Path, *_: object, **__: object) -> None:
        path.open("w").close()
        full(0)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "write_text", in_place)
    monkeypatch.setattr(Path, "write_bytes", in_place)
    with pytest.raises(OSError, match="No space left"):
        WRITERS[name](course)
    assert path.read_text() == f"{BEGIN}\nold\n{END}"
    assert [each for each in path.parent.iterdir() if each.name.startswith(".")] == []
