"""The README's figures come from executed lessons, from tagged cells only."""

from pathlib import Path

from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_app.authoring.figures import save_figures
from course_app.plots import Figure


def cell(svg: str, *tags: str) -> object:
    html = Figure("9x", svg, b"", 672)._repr_mimebundle_()[0]["text/html"]
    output = new_output("display_data", data={"text/html": html})
    return new_code_cell("plot()", outputs=[output], metadata={"tags": list(tags)})


def test_only_tagged_cells_give_their_picture(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[cell("<svg>1</svg>"), cell("<svg>2</svg>", "readme")])
    (saved,) = save_figures(notebook, tmp_path, "04_pool")
    assert saved == tmp_path / "docs/figures/04_pool.svg"
    assert saved.read_text() == "<svg>2</svg>"


def test_a_second_figure_of_a_lesson_gets_a_number(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[cell("<svg>1</svg>", "readme"), cell("<svg>2</svg>", "readme")])
    names = [path.name for path in save_figures(notebook, tmp_path, "04_pool")]
    assert names == ["04_pool.svg", "04_pool_2.svg"]


def test_a_tagged_text_becomes_a_terminals_picture_that_loads_nothing(tmp_path: Path) -> None:
    output = new_output("execute_result", data={"text/plain": "1  one query\n   <each> row"})
    told = new_code_cell("report", outputs=[output], metadata={"tags": ["readme"]})
    (saved,) = save_figures(new_notebook(cells=[told]), tmp_path, "16_clinic")
    svg = saved.read_text()
    assert "&lt;each&gt;" in svg
    assert 'aria-label="1  one query"' in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace(
        "https://www.textualize.io", ""
    )
