"""Memory that grows: which of the lines on the way to an allocation keeps what was allocated."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from course_app.examine.instruments import memory

SOURCE = """\
import functools

kept = {}


def made(text):
    return [f"{text} {number}" for number in range(500)]


@functools.lru_cache(maxsize=None)
def unlimited(text):
    return made(text)


@functools.lru_cache(maxsize=2)
def limited(text):
    return made(text)


def stored(text):
    kept[text] = made(text)
    return kept[text]
"""


@pytest.fixture
def finder(tmp_path: Path) -> ModuleType:
    file = tmp_path / "finder.py"
    file.write_text(SOURCE, encoding="utf-8")
    specification = importlib.util.spec_from_file_location("finder", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def keeper_of(module: ModuleType, call: Callable[[str], object]) -> str:
    """The line that is said to keep most of what a call leaves behind."""
    memory.allocations("start")
    try:
        results = [call(f"query {number}") for number in range(50)]
        found = memory.allocations("look")["bytes"]
    finally:
        memory.allocations("end")
    del results
    return next(str(code) for file, _, code, _ in found if file == module.__file__)


@pytest.mark.slow
def test_a_cache_without_limit_keeps_what_its_function_was_given(finder: ModuleType) -> None:
    """The line that makes it is in another function: that one only does its work."""
    assert keeper_of(finder, finder.unlimited) == "return made(text)"


@pytest.mark.slow
def test_a_cache_with_a_limit_keeps_nothing_for_good(finder: ModuleType) -> None:
    assert "for number in range(500)" in keeper_of(finder, finder.limited)


def test_a_line_that_stores_something_away_keeps_it(finder: ModuleType) -> None:
    assert keeper_of(finder, finder.stored) == "kept[text] = made(text)"


def test_only_the_users_caches_are_known(finder: ModuleType) -> None:
    files = {file for file, _ in memory.cached_lines()}
    assert finder.__file__ in files
    assert not [file for file in files if file.startswith(sys.base_prefix)]
    assert not tracemalloc.is_tracing()
