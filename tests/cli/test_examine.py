"""The command from its arguments to its exit status; the examination itself is stood in for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example_report import HEALTHY, REPORT

from course_app.examine import session
from course_app.examine.findings import Report
from course_app.examine.session import MOST_SECONDS, USUAL_SECONDS, seconds_for
from course_app.examine.target import CannotExamine

Command = Callable[..., Any]
SUSPECTED = REPORT.model_copy(update={"findings": REPORT.findings[1:]})
STOPPED = Report(healthy=True, findings=(), partial=True)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Callable[[Report | Exception], None]:
    def stand_in(answer: Report | Exception) -> None:
        def run(*_: object, **options: Any) -> tuple[Report, Report | None]:
            if isinstance(answer, Exception):
                raise answer
            return answer, HEALTHY if options["against"] else None

        monkeypatch.setattr(session, "run", run)
        monkeypatch.setattr(session, "start_services", _no_services)

    return stand_in


def _no_services() -> None:
    raise CannotExamine("not needed here")


@pytest.fixture
def app(folder: Path) -> str:
    (folder / "main.py").write_text("")
    return "main.py:app"


@pytest.mark.parametrize(
    ("report", "options", "status"),
    [
        (HEALTHY, [], 0),
        (REPORT, [], 1),
        (SUSPECTED, [], 1),
        (SUSPECTED, ["--fail-on", "confirmed"], 0),
        (REPORT, ["--fail-on", "confirmed"], 1),
        (STOPPED, [], 2),
        (CannotExamine("It does not start: why."), [], 2),
        (RuntimeError("ours"), [], 2),
        (HEALTHY, ["--fail-on", "nothing"], 2),
        (HEALTHY, ["--header", "no colon"], 2),
        (HEALTHY, ["--html", "/proc/no/report.html"], 2),
    ],
)
def test_the_exit_status_tells_a_program(
    command: Command,
    app: str,
    examined: Callable[[Any], None],
    report: Any,
    options: list[str],
    status: int,
) -> None:
    examined(report)
    result = command("examine", app, *options)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    assert (status == 2) == ("Error: " in result.stderr or report is STOPPED)


def test_json_is_all_there_is_and_has_the_promised_form(
    command: Command, app: str, examined: Callable[[Any], None]
) -> None:
    examined(REPORT)
    said = json.loads(command("examine", app, "--json", "--against", app).stdout)
    assert said["healthy"] is False
    assert said["other"]["healthy"] is True
    first = said["findings"][0]
    wanted = {"cause", "route", "where", "confirmed", "evidence", "at_most", "lesson"}
    assert wanted <= first.keys()
    examined(CannotExamine("No."))
    assert json.loads(command("examine", app, "--json").stdout) == {"error": "No."}


def test_a_page_is_written_where_it_was_asked_for(
    command: Command, app: str, folder: Path, examined: Callable[[Any], None]
) -> None:
    examined(REPORT)
    result = command("examine", app, "--html", "out/report.html")
    assert "blocked event loop" in result.stdout
    assert str(folder / "out/report.html") in result.stdout
    assert "blocked event loop" in (folder / "out/report.html").read_text()


def test_a_place_that_is_not_there_is_one_sentence(command: Command) -> None:
    result = command("examine", "nowhere.py:app")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: There is no file")


def test_more_routes_get_more_time_and_not_without_end() -> None:
    assert seconds_for(1) == seconds_for(5) == USUAL_SECONDS
    assert seconds_for(5) < seconds_for(20) < seconds_for(80) <= MOST_SECONDS
    assert seconds_for(10_000) == MOST_SECONDS
