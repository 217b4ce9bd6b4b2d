"""Whatever editor and system a file comes from, the same answer is read from it."""

import codecs
import json
import time
from pathlib import Path

import pytest

from course_app.grading import source
from course_app.grading.blanks import looks_blank
from course_app.grading.source import load_file, plain, read_cells

CODE = 'name = "Zoë"\ndef create_app(postgres_dsn):\n    return make(name)\n'
BLANK = "def create_app(postgres_dsn):\n    ...\n"


def notebook(code: str) -> str:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": code.splitlines(True)}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})


def old_notebook(code: str) -> str:
    cell = {"cell_type": "code", "input": [code], "language": "python", "outputs": []}
    sheets = [{"cells": [{"cell_type": "heading", "source": "One"}, cell]}]
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": sheets})


PYTHON = {
    "UTF-8": CODE.encode(),
    "UTF-8 with a BOM": codecs.BOM_UTF8 + CODE.encode(),
    "UTF-16": CODE.encode("utf-16"),
    "UTF-16, the other way": codecs.BOM_UTF16_BE + CODE.encode("utf-16-be"),
    "Latin-1": CODE.encode("latin-1"),
    "Latin-1, and it says so": b"# -*- coding: latin-1 -*-\n" + CODE.encode("latin-1"),
    "lines of Windows": CODE.replace("\n", "\r\n").encode(),
    "lines of an old Mac": CODE.replace("\n", "\r").encode(),
}
NOTEBOOKS = {
    "UTF-8": notebook(CODE).encode(),
    "UTF-8 with a BOM and lines of Windows": codecs.BOM_UTF8
    + json.dumps(json.loads(notebook(CODE)), indent=1, ensure_ascii=False)
    .replace("\n", "\r\n")
    .encode(),
    "UTF-16": notebook(CODE).encode("utf-16"),
    "version 3": old_notebook(CODE).encode(),
}


@pytest.mark.parametrize("content", PYTHON.values(), ids=PYTHON)
@pytest.mark.parametrize("name", ["answer.py", "ANSWER.PY"])
def test_a_python_file_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (text,) = read_cells(path)
    assert text.endswith(CODE)
    assert not looks_blank(path)


@pytest.mark.parametrize("content", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_a_notebook_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answer.ipynb"
    path.write_bytes(content)
    assert list(read_cells(path)) == [CODE]
    assert not looks_blank(path)


@pytest.mark.parametrize("content", [BLANK.encode("utf-16"), codecs.BOM_UTF8 + BLANK.encode()])
def test_a_blank_is_a_blank_in_any_encoding(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answer.py"
    path.write_bytes(content)
    assert looks_blank(path)


@pytest.mark.parametrize(
    "code",
    [
        'query = """SELECT * FROM posts WHERE id =\n%s\nORDER BY\n    %s"""\n',
        'key = ("user:%d"\n    % user_id)\n',
        "same = (a\n!= b)\n",
        "rest = 7 \\\n% 4\n",
        "import asyncio\nawait asyncio.sleep(0)\nasync with lock:\n    pass\n",
        "x = !ls\n",  # was no magic that is understood, and is none
        "zero = '\0'\n%s",
        "",
    ],
)
def test_what_only_looks_like_a_magic_stays(code: str) -> None:
    assert plain(code) == code


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("%load_ext autoreload\n%autoreload 2\nx = 1", "pass\npass\nx = 1"),
        ("x = 1\n!echo \"it's (\nif x:\n    %time f()", "x = 1\npass\nif x:\n    pass"),
        ("%%time\nq = '''\n%s'''\n!ls", "pass\nq = '''\n%s'''\npass"),
        ("%%bash\necho $HOME", "pass\necho $HOME"),
        ('!echo """\ndef f():\n    """Say."""', 'pass\ndef f():\n    """Say."""'),
        ("!pip install a \\\n    b \\\n    c\nx = 1", "pass\n\n\nx = 1"),
        ("if x:\n    !ls \\", "if x:\n    pass"),
        ("x = 1\n%who\n" * 300, "x = 1\npass\n" * 300),
    ],
)
def test_magics_and_shell_commands_go_and_lines_keep_their_numbers(code: str, without: str) -> None:
    assert plain(code) == without


def test_many_magics_in_a_long_cell_take_no_time() -> None:
    began = time.process_time()
    plain("x = [1, 2, 3]\n%who\n" * 5000)
    assert time.process_time() - began < 5


def test_an_answer_is_run_with_its_query_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "silence_the_lab", lambda _: None)  # other tests need it
    path = tmp_path / "answer.ipynb"
    path.write_text(notebook('%matplotlib inline\nquery = """SELECT 1 WHERE 1 =\n%s"""\n'))
    loaded = load_file(path, {})
    assert not loaded.error
    assert loaded.namespace["query"].endswith("\n%s")
