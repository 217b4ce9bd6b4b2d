"""What the exercise on compression rests on: the service that learners read, and the choices."""

import gzip
import inspect
from typing import Any

import brotli
import numpy as np
import pytest

from course_app.authoring.contents import find_course
from course_app.authoring.markers import split
from course_app.exercises.compression.baseline import service
from course_app.exercises.compression.choices import (
    LEVELS,
    LINKS,
    Level,
    best_of,
    gzipped,
    measured,
    read,
    times_as_long,
)
from course_app.exercises.compression.failures import NotDecodable
from course_app.exercises.compression.reference import CompressForTheWorld, levels
from course_app.exercises.compression.rubric import _require_decodable
from course_app.load import Response
from course_app.measure.transfer import Delivery

TEXT = " ".join(f"row {n * n % 7919} of {n}" for n in range(8000)).encode()


def test_learners_read_the_service_that_is_checked() -> None:
    path = find_course().root / "content" / "exercises" / "07_compression.py"
    text = split(path.read_text(encoding="utf-8"), path.name)
    assert inspect.getsource(service) in text.exercise
    assert inspect.getsource(CompressForTheWorld) in text.solution


def test_a_level_is_what_the_middleware_would_send() -> None:
    assert gzipped(TEXT, None) is TEXT
    assert gzip.decompress(gzipped(TEXT, 6)) == TEXT
    assert len(gzipped(TEXT, 9)) < len(gzipped(TEXT, 1)) < len(TEXT)


def test_all_levels_are_measured_in_turns() -> None:
    ways = measured(TEXT)
    assert tuple(ways) == LEVELS
    assert len({way.cpu_ms.size for way in ways.values()}) == 1
    assert np.median(ways[9].cpu_ms) > np.median(ways[None].cpu_ms)


def test_the_best_level_follows_the_link() -> None:
    ways: dict[Level, Delivery] = {
        None: Delivery(np.full(9, 0.001), 100_000),
        1: Delivery(np.full(9, 0.7), 27_000),
        9: Delivery(np.full(9, 4.3), 18_000),
    }
    assert [best_of(ways, link) for link in LINKS.values()] == [9, 1, None]
    assert times_as_long(ways, 9, LINKS["phone"]).estimate == pytest.approx(1)
    assert times_as_long(ways, 1, LINKS["indexer"]).above(10) is True


@pytest.mark.parametrize(
    "handed_in",
    [
        None,
        9,
        {},
        {"phone": 9, "office": 1},
        {**levels, "tablet": 1},
        {**levels, "phone": 0},
        {**levels, "phone": 10},
        {**levels, "phone": True},
        {**levels, "phone": "9"},
        {**levels, "phone": ...},
    ],
)
def test_choices_that_are_none_are_not_read(handed_in: Any) -> None:
    assert read(handed_in) is None


def test_choices_are_levels_or_none() -> None:
    assert read(levels) == {"phone": 6, "office": 1, "indexer": None}


def test_a_coding_that_was_not_asked_for_is_not_decodable() -> None:
    packed = Response(200, (("content-encoding", "br"),), brotli.compress(TEXT), "GET / HTTP/1.1")
    with pytest.raises(NotDecodable):
        _require_decodable(packed)
