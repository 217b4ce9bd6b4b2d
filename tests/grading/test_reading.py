"""Whatever editor and system a file comes from, the same answer is read from it."""

import codecs
import json
from pathlib import Path

import pytest

from course_app.grading.blanks import looks_blank
from course_app.grading.source import read_cells

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
