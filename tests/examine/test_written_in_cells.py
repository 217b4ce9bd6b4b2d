"""An app that was written in cells becomes a file with all that it needs, and nothing else."""

import ast
import sys
from pathlib import Path

import pytest

import course_app.apps.hello
from course_app.examine.notebook import source_of, target_of
from course_app.examine.target import CannotExamine

CELLS = [
    "from fastapi import FastAPI\nimport time\nfrom course_app.lab import Lab\n\nlab = Lab()",
    "def create_app(): return 'an older one'",
    "WAIT = 0.1\n\ndef helper():\n    return WAIT",
    """def create_app():
    app = FastAPI()

    @app.get('/x')
    def x():
        return helper()

    return app""",
    "app = FastAPI()\n\n\n@app.get('/y')\ndef y():\n    return helper()",
    "@app.get('/z')\ndef z():\n    time.sleep(1)\n\napp.add_middleware(object)",
    "lab.measure(app, '/y')\nresult = lab.measure(app, '/z')",
    "ROUTES = ['/y']",
    "def needs_the_lab():\n    return FastAPI(title=lab.postgres_dsn)",
]


def names(text: str) -> set[str]:
    return {ast.unparse(node).partition("\n")[0] for node in ast.parse(text).body}


def test_a_factory_brings_what_it_uses() -> None:
    assert names(source_of(CELLS, "create_app")) == {
        "from fastapi import FastAPI",
        "WAIT = 0.1",
        "def helper():",
        "def create_app():",
        "ROUTES = ['/y']",
    }


def test_an_app_brings_its_handlers_but_no_measurement() -> None:
    text = source_of(CELLS, "app")
    assert "def y" in text
    assert "def z" in text
    assert "import time" in text
    assert "add_middleware" in text
    assert "measure" not in text


def test_what_uses_the_lab_is_told_what_to_do() -> None:
    with pytest.raises(CannotExamine, match=r"create_app\(postgres_dsn\)"):
        source_of(CELLS, "needs_the_lab")


def test_an_app_is_found_by_its_place_or_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = course_app.apps.hello.__file__
    assert target_of(f"{file}:app", tmp_path).module == "course_app.apps.hello"
    app = object()
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "In", ["shop = object()"], raising=False)
    monkeypatch.setattr(main, "shop", app, raising=False)
    target = target_of(app, tmp_path)
    assert target.attribute == "shop"
    assert Path(target.file).read_text() == "shop = object()\n"
    with pytest.raises(CannotExamine, match="has no name"):
        target_of(object(), tmp_path)
