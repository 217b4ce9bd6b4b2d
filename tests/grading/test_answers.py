"""What counts as an answer, and what as none."""

from pathlib import Path

import nbformat
import pytest
from fastapi import FastAPI

from course_app.grading import NotAttempted
from course_app.grading.answers import NotAnAnswer, is_blank, make_app
from course_app.grading.blanks import looks_blank

GIVEN = {"postgres_dsn": "postgresql://somewhere"}


def dots(postgres_dsn: str) -> FastAPI: ...


def documented(postgres_dsn: str) -> None:
    """Nothing but this."""


def raising(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


def returning(postgres_dsn: str) -> FastAPI:
    return FastAPI(title=postgres_dsn)


def late(postgres_dsn: str) -> FastAPI:
    app = FastAPI(title=postgres_dsn)
    if app.title:
        raise NotImplementedError
    return app


class Timing:
    """An app in a pure ASGI middleware."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        """Pass on."""


@pytest.mark.parametrize("answer", [None, ..., dots, documented, raising])
def test_blanks_are_blank(answer: object) -> None:
    assert is_blank(answer)
    with pytest.raises(NotAttempted):
        make_app(answer, GIVEN)


@pytest.mark.parametrize("answer", [late, lambda: None])
def test_a_factory_without_a_result_is_not_attempted(answer: object) -> None:
    with pytest.raises(NotAttempted):
        make_app(answer, GIVEN)


def test_a_factory_gets_what_it_names() -> None:
    assert make_app(returning, GIVEN).title == "postgresql://somewhere"  # type: ignore[attr-defined]
    assert isinstance(make_app(FastAPI, {}), FastAPI)


def test_apps_need_no_factory_where_there_is_nothing_to_give() -> None:
    app = Timing(FastAPI())
    assert make_app(app, {}) is app
    with pytest.raises(NotAnAnswer, match="create_app"):
        make_app(app, GIVEN)


@pytest.mark.parametrize(
    "answer",
    [3, "app", Timing, lambda database: FastAPI(title=database), lambda: {"a": 1}, lambda: [{}]],
)
def test_other_things_are_refused_by_name(answer: object) -> None:
    with pytest.raises((NotAnAnswer, TypeError)):
        make_app(answer, {})


@pytest.mark.parametrize(
    ("cells", "blank"),
    [
        (["def create_app(postgres_dsn):\n    ..."], True),
        (["app = ...", "check('04', app)"], True),
        (["def create_app():\n    '''Doc.'''\n    raise NotImplementedError"], True),
        (["%matplotlib inline\n!ls", "x = 1"], True),
        ([], True),
        (["app = ...", "app = FastAPI()"], False),
        (["if True:\n    def create_app(d): return FastAPI()"], False),
        (["from mine import build as create_app"], False),
        (["from mine import *"], False),
        (["def broken(:"], False),
    ],
)
def test_a_file_without_an_answer_is_told_without_running_it(
    tmp_path: Path, cells: list[str], blank: bool
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook, path)
    assert looks_blank(path) is blank
