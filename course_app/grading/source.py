"""Running a submission's code: a notebook, a Python file, or a function of the course.

An answer is found by its name at the end, so copied, deleted or reordered cells do no harm,
and a cell that fails is only of interest if there is no answer without it.
"""

import ast
import asyncio
import codecs
import importlib
import importlib.util
import inspect
import io
import json
import linecache
import re
import sys
import tokenize
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from course_app.dataset import ROWS
from course_app.grading.inert import silence_the_lab

#: A submission's module is called so, in tracebacks too.
MODULE_NAME = "submission"
_EXERCISES = "course_app.exercises."
_MOST_FILE_BYTES = 50_000_000
_MAGIC = re.compile(r"([ \t]*)[%!]")
#: Each parse finds the next magics of a cell. Who has more groups of them than this is slow to
#: parse so often, and has them found by their looks.
_MOST_PARSES = 50


class NotRunnable(Exception):
    """The file cannot be run at all; the text says why, as a sentence."""


@dataclass(frozen=True)
class Loaded:
    """The names that are defined after the code has run, and the first error on the way."""

    namespace: Mapping[str, Any]
    error: str = field(default="")


def describe_function(function: Any) -> dict[str, str]:
    """A function of the course in a form that another process can find it by.

    Raises:
        ValueError: it has no name of its own in a module (a lambda, a nested function).
    """
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():
        raise ValueError(f"{function!r} must be a function of a module, so that a process finds it")
    file = inspect.getsourcefile(function) or ""
    return {"module": function.__module__, "file": file, "name": name}


def load_function(where: Mapping[str, str]) -> Loaded:
    """Import a function of the course as ``create_app``.

    Raises:
        NotRunnable: its module cannot be imported.
    """
    try:
        module = _import(where)
    except Exception as error:
        raise NotRunnable(f"{where['name']} cannot be imported: {error!r}") from error
    return Loaded({"create_app": getattr(module, where["name"])})


def load_file(path: Path, given: Mapping[str, str]) -> Loaded:
    """Run a notebook's code cells, or a Python file.

    Args:
        given: addresses of the services, which ``Lab()`` hands out in there.

    Raises:
        NotRunnable: the file is missing, too big or not what its name says.
    """
    silence_the_lab({**ROWS, **given})
    cells = list(read_cells(path))
    module = ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    error = ""
    for number, code in enumerate(cells, start=1):
        failed = _run(code, f"cell {number}", module.__dict__)
        error = error or failed
    return Loaded(module.__dict__, error)


def read_cells(path: Path) -> Iterable[str]:
    """The code cells of a notebook, or the whole of a Python file.

    Raises:
        NotRunnable: see :func:`load_file`.
    """
    most = f"{_MOST_FILE_BYTES // 10**6} MB"
    try:
        if path.exists() and not is_readable(path):
            raise NotRunnable(f"{path.name} is no file, or larger than {most}.")
        text = decoded(path.read_bytes())
        return [text] if path.suffix.lower() == ".py" else _notebook_cells(text)
    except OSError as error:
        raise NotRunnable(f"{path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotRunnable(f"{path.name} is not a notebook.") from error


def decoded(content: bytes) -> str:
    """A file as text, whatever editor and system it comes from; lines end as Python's do."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
            text = content.decode(encoding)
        except (SyntaxError, ValueError):  # not UTF-8, and no comment says what it is
            text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_readable(path: Path) -> bool:
    """Whether it is a file that can be copied and read: no pipe, no device, not too big."""
    return path.is_file() and path.stat().st_size <= _MOST_FILE_BYTES


def plain(code: str) -> str:
    """A cell without its magics and shell commands, with the same number of lines.

    They are where the parser fails: a line of a string may begin with "%s", and an expression may
    go on with "% name" or "!= name".
    """
    lines = code.split("\n")
    for _ in range(_MOST_PARSES):
        number = _fails_at(lines)
        if number is None:
            return "\n".join(lines)
        if not _MAGIC.match(lines[number]):
            # A quotation mark in a shell command may have turned strings and code around.
            bare = _without_magics(lines)
            return "\n".join(lines if _fails_at(bare) is not None else bare)
        while number < len(lines) and _MAGIC.match(lines[number]):
            number = _drop(lines, number)
    return "\n".join(_without_magics(lines))


def _without_magics(lines: list[str]) -> list[str]:
    """The lines without all that looks like a magic."""
    lines, number = lines.copy(), 0
    while number < len(lines):
        number = _drop(lines, number) if _MAGIC.match(lines[number]) else number + 1
    return lines


def _drop(lines: list[str], number: int) -> int:
    """Empty the magic in this line, and the lines in which it goes on; the next line's index."""
    found = _MAGIC.match(lines[number])
    rest = f"{found[1]}pass" if found else ""
    goes_on = True
    while goes_on and number < len(lines):
        goes_on = lines[number].endswith("\\")
        lines[number], rest = rest, ""
        number += 1
    return number


def _fails_at(lines: list[str]) -> int | None:
    """The index of the line that is no Python; None if all are, or if the parser cannot tell."""
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as error:
        index = (error.lineno or 0) - 1
        return index if 0 <= index < len(lines) else None
    except (ValueError, RecursionError, MemoryError):  # whoever compiles it meets the same
        return None
    return None


def _notebook_cells(text: str) -> list[str]:
    notebook = json.loads(text)
    # Until version 3 of the format, cells lay in worksheets and their text was their input.
    sheets = notebook.get("worksheets", [notebook])
    cells = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
    sources = [cell["source"] if "source" in cell else cell["input"] for cell in cells]
    return [source if isinstance(source, str) else "".join(source) for source in sources]


def _run(code: str, name: str, namespace: dict[str, Any]) -> str:
    """Run one cell; returns its error as text, or nothing."""
    code = plain(code)
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        compiled = compile(code, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(compiled, namespace)
        if inspect.iscoroutine(result):
            asyncio.run(_finish(result))
    except BaseException as error:  # exit() in a cell, too, only ends the cell
        return _own_lines(error, name)
    return ""


async def _finish(result: Any) -> None:
    await result


def _own_lines(error: BaseException, name: str) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    last = "".join(traceback.format_exception_only(error)).strip()
    return "".join([*traceback.format_list(frames[-3:]), last])


def _import(where: Mapping[str, str]) -> ModuleType:
    package = where["module"].rpartition(".")[0]
    if package.startswith(_EXERCISES) and package not in sys.modules:
        # Without its own code: what declares an exercise imports all that judges it, for a second.
        spec = importlib.util.find_spec(package)
        assert spec is not None
        sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(where["module"])
    except ModuleNotFoundError:
        return _import_file(Path(where["file"]), where["module"])


def _import_file(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
