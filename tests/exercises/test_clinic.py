"""Exercise 16: a seed's patient is ill where it says, and only there; diagnoses are read fairly."""

import inspect
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from representatives import others_slow

from course_app.apps.bookshop import create_app
from course_app.apps.patients import (
    HEALTHY,
    PLANTS,
    TRAILS,
    Patient,
    Plant,
    Trail,
    made_of,
    patient_of,
)
from course_app.changes import changed
from course_app.examine.findings import Cause
from course_app.exercises.clinic import reference
from course_app.exercises.clinic.diagnosis import (
    FalseTrail,
    NoFindings,
    NoSeed,
    NotOnTheList,
    WrongCause,
    WrongPlace,
    names_the_causes,
)
from course_app.exercises.clinic.repairs import REPAIRS
from course_app.exercises.clinic.right_answers import RIGHT_ANSWERS
from course_app.grading import Changed, Failure
from course_app.lab import Lab, get, uniform

FOUND = reference.findings
SEED = reference.seed


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch, Lab() as lab:
        patch.setenv("COURSE_PACE", "quick")
        yield lab


@pytest.fixture
def ill_dsn(lab: Lab) -> str:
    """The same data; comments in a table of its own, on which nobody has made an index yet."""
    with psycopg.connect(lab.postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ill CASCADE")
        connection.execute("CREATE SCHEMA ill")
        connection.execute("CREATE TABLE ill.comments AS TABLE public.comments")
        connection.execute("ALTER TABLE ill.comments ADD PRIMARY KEY (id)")
        connection.execute("ANALYZE ill.comments")
    return f"{lab.postgres_dsn}{'&' if '?' in lab.postgres_dsn else '?'}search_path=ill,public"


def diagnosed(findings: Any, seed: Any = SEED) -> Any:
    exam: Any = SimpleNamespace(values={"seed": seed, "findings": findings})
    return names_the_causes.check(exam)


def test_a_seed_always_draws_the_same_and_all_causes_and_trails_come_up() -> None:
    assert patient_of(7) == patient_of(7) == patient_of("7")
    patients = [patient_of(seed) for seed in range(200)]
    pairs = {frozenset(plant.cause for plant in patient.plants) for patient in patients}
    assert len(pairs) == len(list(combinations(PLANTS, 2)))
    assert {patient.trail.rumour for patient in patients} == {trail.rumour for trail in TRAILS}


def test_two_causes_and_a_trail_fit_into_one_source_whichever_they_are() -> None:
    for first, second in combinations(PLANTS, 2):
        for plants in ((first, second), (second, first)):
            for trail in TRAILS:
                source = Patient(plants, trail).source
                compile(source, "patient.py", "exec")
                assert all(re.search(rf"\b{n}\(", source) for p in plants for n in p.where)
                assert all(f"def {p.where[0]}(" in source for p in plants)
                assert f"def {trail.where}(" in source


def test_the_reference_is_its_patient_without_the_causes() -> None:
    """It is a file of its own, as what learners hand in: a change of one has to be made in both."""
    healed = changed(HEALTHY, patient_of(SEED).trail.changes)
    bodies = [source.partition("\n")[2] for source in (inspect.getsource(reference), healed)]
    assert bodies[0].startswith(bodies[1])


def test_causes_are_on_the_list_and_can_be_counted() -> None:
    assert {plant.cause for plant in PLANTS} == set(REPAIRS) <= set(Cause)


def test_no_trail_stands_where_a_cause_may_be() -> None:
    assert not {t.where for t in TRAILS} & {name for plant in PLANTS for name in plant.where}


def test_a_cause_that_no_longer_fits_the_source_is_told() -> None:
    with pytest.raises(ValueError, match="0 times"):
        changed(HEALTHY, [("no such line", "")])


def test_our_answer_is_the_patient_without_its_causes_and_with_its_trail() -> None:
    patient = patient_of(SEED)
    mended = changed(HEALTHY, patient.trail.changes).partition('"""\n\n')[2]
    assert mended in Path(reference.__file__).read_text(encoding="utf-8")
    assert {plant.cause: plant.where[0] for plant in patient.plants} == FOUND


def test_right_answers_are_proven_for_every_cause() -> None:
    texts = [a.answer.text() for a in RIGHT_ANSWERS if isinstance(a.answer, Changed)]
    named = {cause for cause in REPAIRS for text in texts if f'"{cause}": "' in text}
    assert named | set(FOUND) == set(REPAIRS)


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.cause)
def test_a_cause_costs_much_and_changes_no_answer(plant: Plant, lab: Lab, ill_dsn: str) -> None:
    repair = REPAIRS[plant.cause]
    result = lab.compare(
        {
            "ill": made_of(changed(HEALTHY, plant.changes), ill_dsn),
            "sound": create_app(lab.postgres_dsn),
        },
        repair.traffic,
        concurrency=repair.clients,
        at_least=2,
    )
    assert not result.wrong
    assert result.faster("sound", at_least=2)


@pytest.mark.parametrize("trail", others_slow(1, TRAILS), ids=range(len(TRAILS)))
def test_a_trail_costs_nothing_that_matters(trail: Trail, lab: Lab) -> None:
    result = lab.compare_requests(
        {
            "with it": made_of(changed(HEALTHY, trail.changes), lab.postgres_dsn),
            "without": create_app(lab.postgres_dsn),
        },
        get("/posts/{n}", n=uniform(1, 100_000)),
        metric="p50",
        at_least=1.25,
    )
    assert not result.wrong
    assert not result.faster("without", at_least=1.25)


def test_a_place_may_be_named_as_tools_name_it() -> None:
    assert diagnosed({"n_plus_one": "shown()", "connection_per_request": "connected (a.py:40)"})


@pytest.mark.parametrize(
    ("findings", "failure", "credit"),
    [
        ({**FOUND, "n_plus_one": "read_comments"}, WrongPlace, 0.75),
        ({"n_plus_one": "newest", "blocked_loop": "read_order"}, WrongCause, 0.5),
        ({"n_plus_one": "newest", "slow_serialization": "read_post"}, FalseTrail, 0.5),
        ({"missing_index": "newest", "blocked_loop": "read_user"}, WrongCause, 0),
        ({"n_plus_one": "newest", "bad_luck": "read_user"}, NotOnTheList, 0),
        ({"n_plus_one": "newest", "connection_per_request": ""}, NoFindings, 0),
        ({"n_plus_one": "newest", "connection_per_request": ["read_user"]}, NoFindings, 0),
        (dict.fromkeys(Cause, "newest"), NoFindings, 0),
        ([["n_plus_one", "newest"]], NoFindings, 0),
        (None, NoFindings, 0),
    ],
)
def test_a_diagnosis_earns_what_is_right_in_it(
    findings: Any, failure: type[Failure], credit: float
) -> None:
    with pytest.raises(failure) as raised:
        diagnosed(findings)
    assert raised.value.credit == credit
    assert type(raised.value) is failure


@pytest.mark.parametrize("seed", [None, True, 1.5, [5]])
def test_what_is_no_seed_is_told(seed: Any) -> None:
    with pytest.raises(NoSeed):
        diagnosed(FOUND, seed)
