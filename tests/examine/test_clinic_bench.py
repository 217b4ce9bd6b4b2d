"""The clinic's bench: nothing that was not examined holds anything."""

from dataclasses import replace

import pytest

from benchmarks.clinic import Diagnosis, _result, run
from course_app.errors import CourseError

SICK = Diagnosis(
    *("fifth", "n_plus_one", "n_plus_one", (), ()),
    place=True,
    cured=False,
    seconds=9,
    route="GET /",
    at_most=3.0,
    p50_ms={"GET /": {1: 6.0}},
)
CURED = replace(SICK, first="", place=False, cured=True, p50_ms={"GET /": {1: 2.0}})
WELL = Diagnosis("first", "healthy", "", (), (), place=False, cured=False, seconds=9)
DEAD = "its server ended"


def held(*found: Diagnosis) -> bool:
    return all(_result(found).requirements.values())


def test_what_is_right_holds() -> None:
    assert held(SICK, CURED, WELL)


@pytest.mark.parametrize(
    "found",
    [
        [],
        [replace(SICK, first="", place=False, failed=DEAD), CURED, WELL],
        [SICK, replace(CURED, failed=DEAD), WELL],
        [SICK, CURED, replace(WELL, failed=DEAD)],
        [SICK, CURED, replace(WELL, first="pool_wait")],
        [SICK, replace(CURED, first="n_plus_one"), WELL],
        [replace(SICK, first="pool_wait"), CURED, WELL],
        [replace(SICK, place=False), CURED, WELL],
        [SICK, CURED, replace(WELL, seconds=61)],
        [SICK, replace(CURED, p50_ms={"GET /": {1: 1.0}}), WELL],
        [SICK, replace(CURED, p50_ms={}), WELL],
    ],
)
def test_what_is_wrong_or_was_not_looked_at_does_not(found: list[Diagnosis]) -> None:
    assert not held(*found)


def test_an_unknown_patient_is_one_sentence() -> None:
    with pytest.raises(CourseError, match="There is no patient 'nobody'"):
        run(["nobody"])
