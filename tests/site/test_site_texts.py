"""The README's figures on the site: each leads to its place in its lesson."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_app.authoring.notebook import as_text
from course_app.errors import CourseError
from course_app.plots import Figure
from course_app.site.texts import _for_the_site as for_the_site

LINKED = "[![It is fast](docs/figures/{name})](notebooks/04_pool.ipynb)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lesson with two figures, both kept for the README, and one of before."""
    figures = tmp_path / "docs/figures"
    figures.mkdir(parents=True)
    pictures = {name: f'<svg aria-label="{name}"></svg>' for name in ("04_pool", "04_pool_2")}
    for name, svg in {**pictures, "04_pool_3": "<svg>old</svg>"}.items():
        (figures / f"{name}.svg").write_text(svg)
    cells = []
    for svg in pictures.values():
        html = Figure("9x", svg, b"", 672)._repr_mimebundle_()[0]["text/html"]
        output = new_output("display_data", data={"text/html": html})
        cells.append(new_code_cell("plot()", outputs=[output]))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/04_pool.ipynb").write_text(as_text(new_notebook(cells=cells)))
    return tmp_path


@pytest.mark.parametrize(("name", "number"), [("04_pool", 1), ("04_pool_2", 2)])
def test_a_figure_leads_to_its_place_in_the_lesson(root: Path, name: str, number: int) -> None:
    page = for_the_site(LINKED.format(name=f"{name}.svg"), root)
    assert f'href="notebooks/04_pool.html#figure-{number}"' in page
    assert f'src="figures/{name}.svg" alt="{name}"' in page


@pytest.mark.parametrize(
    ("name", "reason"),
    [("04_pool_3.svg", "is no figure of 04_pool"), ("04_pol.svg", "does not exist")],
)
def test_a_figure_that_the_lesson_does_not_have_is_refused(
    root: Path, name: str, reason: str
) -> None:
    with pytest.raises(CourseError, match=f"{name}.* {reason}"):
        for_the_site(LINKED.format(name=name), root)
