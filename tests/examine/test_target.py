"""An app is found in its own project, and loaded with its own settings."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from course_app.examine.target import CannotExamine, parse_target

APP = """
from fastapi import FastAPI
app = FastAPI(title="{title}")
"""
#: Runs in a process of its own, as the examined app does: it changes folder and search path.
LOAD = """
import sys
from course_app.examine.target import CannotExamine, load, parse_target
try:
    found = load(parse_target(sys.argv[1]), {"postgres_dsn": "postgresql://lab", "valkey_url": "redis://lab"})
    print(found.app.title, found.services, found.routes)
except CannotExamine as error:
    print("cannot:", error)
"""


def loaded(folder: Path, text: str) -> str:
    command = [sys.executable, "-P", "-c", LOAD, text]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def test_a_file_of_a_project_is_imported_as_the_project_does(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "")
    write(tmp_path / "settings.txt", "mine")
    write(tmp_path / "shop/db.py", "NAME = 'relative'")
    write(
        tmp_path / "shop/main.py",
        """
        from pathlib import Path
        from fastapi import FastAPI
        from .db import NAME
        from shop.db import NAME as SAME
        app = FastAPI(title=f"{NAME} {__name__} {Path('settings.txt').read_text()}")
        """,
    )
    elsewhere = tmp_path.parent
    assert "relative shop.main mine ()" in loaded(elsewhere, f"{tmp_path}/shop/main.py:app")
    assert "relative shop.main mine ()" in loaded(tmp_path, "shop.main:app")


def test_a_source_folder_is_where_imports_begin(tmp_path: Path) -> None:
    write(tmp_path / "setup.cfg", "")
    write(tmp_path / "src/shop/__init__.py", "")
    write(tmp_path / "src/shop/main.py", APP.format(title="in src"))
    assert loaded(tmp_path.parent, f"{tmp_path}/src/shop/main.py:app").startswith("in src")
    assert loaded(tmp_path, "shop.main:app").startswith("in src")


@pytest.mark.parametrize("name", ["01_shop.py", "my-shop.py", "json.py"])
def test_a_file_may_have_a_name_that_cannot_be_imported(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, APP.format(title="odd"))
    assert loaded(tmp_path, f"{name}:app").startswith("odd")


def test_only_a_factory_that_has_to_be_given_services_gets_them(tmp_path: Path) -> None:
    write(
        tmp_path / "main.py",
        """
        from fastapi import FastAPI
        ROUTES = ["/a"]
        CURED_ROUTES = ["/b"]
        def create_app(postgres_dsn, *, valkey_url):
            return FastAPI(title=f"{postgres_dsn} {valkey_url}")
        def create_cured(postgres_dsn="mine"):
            return FastAPI(title=postgres_dsn)
        def with_settings(settings):
            return FastAPI()
        """,
    )
    given = loaded(tmp_path, "main.py:create_app")
    assert given == "postgresql://lab redis://lab ('postgres_dsn', 'valkey_url') ['/a']"
    assert loaded(tmp_path, "main.py:create_cured") == "mine () ['/b']"
    assert "asks for 'settings'" in loaded(tmp_path, "main.py:with_settings")
    assert loaded(tmp_path, "main.py").startswith("postgresql://lab")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import nowhere_to_be_found", "which is not installed beside the course"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "it ends the process (sys.exit(3))"),
        ("def app(", "cannot be imported: SyntaxError"),
        ("app = 3", "is no ASGI app but of type int"),
        (
            "def create_app(): raise RuntimeError('no database')",
            "cannot make the app: RuntimeError",
        ),
        ("def create_shop_app(): ...", "It has create_shop_app."),
    ],
)
def test_what_is_wrong_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, body: str, says: str
) -> None:
    write(tmp_path / "main.py", body)
    said = loaded(tmp_path, "main.py")
    assert said.startswith("cannot: ")
    assert says in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere.py:app", "There is no file"),
        (".:app", "neither a file"),
        ("./:app", "is a folder"),
        ("main.py:", "names no app"),
        ("my shop:app", "neither a file that ends in .py"),
    ],
)
def test_a_text_that_names_nothing_is_refused_before_anything_runs(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(CannotExamine, match=says):
        parse_target(text, tmp_path)
