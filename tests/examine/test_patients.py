"""The whole way, on patients: slow, and beside nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import clinic
from course_app.examine.engine import examine_now
from course_app.examine.target import CannotExamine, parse_target
from course_app.load import get
from course_app.services import Services
from course_app.serving.frames import COLLECTS_ANYWHERE


@pytest.fixture
def given(services: Services) -> dict[str, str]:
    return {"postgres_dsn": services.postgres_dsn, "valkey_url": services.valkey_url}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "patient", ["06_front_page", "14_ticket_desk", "34_rent_desk", "38_quote_finder"]
)
def test_a_patients_cause_is_named_first_and_its_twin_is_free_of_it(
    patient: str, given: dict[str, str]
) -> None:
    answer = clinic.answer_of(patient)
    sick = clinic.examined(patient, answer, given, cured=False)
    assert (sick.first, sick.place) == (answer["cause"], True)
    assert clinic.examined(patient, answer, given, cured=True).right


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_healthy_app_gives_no_confirmed_finding(given: dict[str, str]) -> None:
    found = clinic.examined("21_slow_reports", clinic.answer_of("21_slow_reports"), given)
    assert not found.first


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_looking_into_an_app_does_not_end_it(given: dict[str, str]) -> None:
    """Greenlets, an ORM's garbage, and a thread that reads the stacks of both.

    On Python 3.11 more than a quarter of these examinations ended by signal 11, while collections
    began wherever they liked.
    """
    name, times = "24_server_view", 12 if COLLECTS_ANYWHERE else 2
    answer = clinic.answer_of(name)
    with ThreadPoolExecutor(2) as pool:  # what it finds under such a load is not asked
        done = pool.map(
            lambda _: clinic.examined(name, answer, given, cured=True).failed, range(times)
        )
        assert [failed for failed in done if failed] == []


def test_an_app_without_a_route_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("from fastapi import FastAPI\napp = FastAPI()\n", encoding="utf-8")
    with pytest.raises(CannotExamine, match="no route"):
        examine_now(parse_target(f"{file}:app"), [])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_app_that_ends_itself_is_reported_as_that(tmp_path: Path) -> None:
    file = tmp_path / "ends.py"
    file.write_text(
        "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nseen = []\n\n"
        "@app.get('/')\nasync def root() -> int:\n    seen.append(1)\n"
        "    if len(seen) > 300:\n        os._exit(3)\n    return 1\n",
        encoding="utf-8",
    )
    with pytest.raises(CannotExamine, match="ended with exit status 3"):
        examine_now(parse_target(f"{file}:app"), [get("/")])
