"""Which tests measure, and fixtures that more than one room's tests use."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from turns import TURNS, of_other_turns

from course_app.services import Services, start_services

# As for the `course` command: nbformat is imported in a fifth of the time.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

TESTS = Path(__file__).parent

#: Rooms and files that look at times, CPU or shares of gains: a neighbour on the other core would
#: be seen in them. They run alone, after all others (see the Makefile).
MEASURING_PLACES = {
    "classroom/test_class_of_sixty.py",
    "examine/test_big_app.py",
    "examine/test_patients.py",
    "exercises/test_newsroom.py",
    "exercises/test_rate_limiting.py",
    "load/test_generator_bench.py",
    "load/test_pollers.py",
    "measure",
    "network/test_wire_delay.py",
    "serving/test_serving_bench.py",
}
#: Whoever asks for one of these measures, too.
MEASURING_FIXTURES = {"lab", "generator", "generators", "quick_pace", "alone"}
#: They ask for one, and what they look at is what is said, or sent, however long it takes.
WAITING_PLACES = {"test_strangers.py", "load/test_raw_answers.py"}


# Tests that call make are no part of the make that started them: it would announce its folders.
for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
    os.environ.pop(name, None)

# Shells start what runs in the background with interrupts ignored; tests interrupt what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


STARTED = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where time is bounded, as in CI: what one run leaves out comes first in another."""
    group = parser.getgroup("turns")
    group.addoption("--turn", type=int, help=f"a fifth of each kind first; which: N mod {TURNS}")
    group.addoption("--minutes", type=float, default=0.0, help="the other fifths until then")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if measures(item.path, getattr(item, "fixturenames", ())):
            item.add_marker("measures")
    if config.option.turn is not None:
        for item in of_other_turns(items, config.option.turn):
            item.add_marker("other_turn")
        items.sort(key=lambda item: item.get_closest_marker("other_turn") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    late = time.monotonic() - STARTED > 60 * item.config.option.minutes
    if late and item.get_closest_marker("other_turn"):
        pytest.skip("left to another turn: this one's minutes are over")


def measures(path: Path, fixtures: list[str] | tuple[str, ...]) -> bool:
    place = path.relative_to(TESTS)
    places = {str(place), place.parts[0]}
    if places & WAITING_PLACES:
        return False
    return bool(places & MEASURING_PLACES or MEASURING_FIXTURES & set(fixtures))


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Real PostgreSQL with the data set and real Valkey, for the whole test session."""
    with start_services() as started:
        yield started


@pytest.fixture
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements take less than half their time."""
    monkeypatch.setenv("COURSE_PACE", "quick")
