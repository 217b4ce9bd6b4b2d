"""The command line as a reader and as a program meet it."""

import errno
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output

import benchmarks
from benchmarks import bench_names
from course_app.authoring.results import read_results
from course_app.cli.console import print_json
from course_app.cli.run import _print_summary
from course_app.measure.machine import MACHINE_MIME

Command = Callable[..., Any]

COMMANDS = (
    *("lab", "check", "watch", "hint", "progress", "reset"),
    *("run", "doctor", "build", "verify", "bench"),
    *("machines", "site"),
)


def test_help_names_every_command(command: Command) -> None:
    result = command("--help")
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(command: Command, name: str) -> None:
    result = command(name, "--help")
    assert result.returncode == 0
    assert f"course {name}" in result.stdout


def test_help_loads_nothing_that_is_slow() -> None:
    slow = "{'nbformat', 'jupytext', 'numpy', 'scipy', 'matplotlib', 'fastapi', 'pydantic'}"
    code = f"import sys, course_app.cli; print({slow} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["run", "build"])
def test_an_unknown_lesson_is_one_sentence_and_a_failure(command: Command, name: str) -> None:
    result = command(name, "77")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: There is no lesson 77.")
    assert "Traceback" not in result.stderr


def test_a_mistake_in_the_contents_is_one_sentence_and_a_failure(
    command: Command, folder: Path
) -> None:
    (folder / "course.toml").write_text("title = 3\nlesson = []\n")
    result = command("build")
    assert result.returncode == 1
    assert "Error: course.toml, title: Input should be a valid string" in result.stderr


def test_building_what_is_not_written_yet_says_so_and_is_no_failure(command: Command) -> None:
    result = command("build", "02")
    assert result.returncode == 0
    assert "Nothing to build" in result.stdout


def test_running_what_is_not_written_yet_is_a_failure(command: Command) -> None:
    result = command("run", "2")
    assert result.returncode == 1
    assert "Nothing to run" in result.stderr


def test_build_writes_and_check_compares(command: Command, folder: Path) -> None:
    assert command("build", "--check").returncode == 1
    assert command("build").returncode == 0
    assert command("build", "--check").returncode == 0
    source = folder / "content/lessons/00_start_here.py"
    source.write_text(source.read_text().replace("Start here", "Begin"))
    result = command("build", "--check")
    assert result.returncode == 1
    assert "notebooks/00_start_here.ipynb differs" in result.stdout


def test_check_looks_at_the_named_lessons_and_writes_nothing(
    command: Command, folder: Path
) -> None:
    command("build", "00")
    assert command("build", "--check", "00").returncode == 0
    assert command("build", "--check", "01").returncode == 1
    for other in ("--force", "--execute"):
        result = command("build", "--check", other)
        assert result.returncode == 1
        assert "leave out --execute and --force" in result.stderr
    assert not (folder / "notebooks/01_broken.ipynb").exists()


def test_build_keeps_what_was_edited_by_hand_and_fails(command: Command, folder: Path) -> None:
    command("build", "00")
    path = folder / "notebooks/00_start_here.ipynb"
    path.write_text(path.read_text().replace("It was measured.", "I changed this."))
    result = command("build", "00")
    assert result.returncode == 1
    assert "kept: it was edited by hand" in result.stdout
    assert "I changed this." in path.read_text()
    assert command("build", "--force", "00").returncode == 0
    assert "I changed this." not in path.read_text()


def test_executing_keeps_outputs_and_reports_the_lesson_that_fails(
    command: Command, folder: Path
) -> None:
    result = command("build", "--execute")
    assert result.returncode == 1
    assert "01_broken, cell 0 failed: ZeroDivisionError" in result.stderr
    assert "1 / 0" in result.stderr
    assert "vnd.course.verdict" in (folder / "notebooks/00_start_here.ipynb").read_text()
    assert not (folder / "notebooks/01_broken.ipynb").exists()


def test_a_run_reports_every_lesson_and_fails_if_one_does(command: Command, folder: Path) -> None:
    result = command("run")
    assert result.returncode == 1
    assert "00_start_here: passed" in result.stderr
    assert "01_broken: failed" in result.stderr
    assert "holds" in result.stdout
    report = folder / "build/report"
    assert str(report / "index.html") in result.stdout
    for name in ("index.html", "00_start_here.html", "01_broken.html", "00_start_here.ipynb"):
        assert (report / name).is_file()
    assert not (folder / "notebooks/00_start_here.ipynb").exists()


def test_a_run_prints_json_for_programs_and_nothing_else(command: Command) -> None:
    result = command("run", "00", "--json")
    assert result.returncode == 0
    data = json.loads(result.stdout)
    assert data["claims"][0]["verdict"] == "holds"
    assert data["lessons"][0]["slug"] == "00_start_here"
    assert Path(data["report"]).is_file()


CARD = {
    **dict.fromkeys(("system", "python", "fastapi", "uvicorn", "postgres", "valkey"), "1"),
    "cores": 2,
    "memory_gib": 8.0,
    "noise": "calm",
    "others_cores": 0.0,
}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of kernels: each lesson shows its machine's card; returns which were run."""
    begun: list[str] = []

    def execute(notebook: NotebookNode, *, name: str, **_: object) -> NotebookNode:
        begun.append(name)
        if name == "01_broken":
            raise KeyboardInterrupt
        notebook.cells[-1].outputs = [new_output("display_data", {MACHINE_MIME: CARD})]
        return notebook

    monkeypatch.setattr("course_app.authoring.run.execute", execute)
    return begun


@pytest.mark.parametrize("earlier", ["{", '{"version": 2}'])
@pytest.mark.usefixtures("ran")
def test_results_that_do_not_fit_cost_no_finished_run(
    command: Command, folder: Path, earlier: str
) -> None:
    report = folder / "build/report"
    report.mkdir(parents=True)
    (report / "results.json").write_text(earlier)
    result = command("run", "00", "--keep")
    assert result.returncode == 1
    assert "results-new.json" in result.stderr
    assert str(report / "index.html") in result.stdout
    assert (report / "results.json").read_text() == earlier
    assert read_results(report / "results-new.json").lessons[0].slug == "00_start_here"


def test_an_interrupted_run_reports_on_the_lessons_that_ended(
    command: Command, folder: Path, ran: list[str]
) -> None:
    result = command("run")
    assert ran == ["00_start_here", "01_broken"]
    assert result.returncode == 130
    assert (folder / "build/report/00_start_here.html").is_file()
    (lesson,) = read_results(folder / "build/report/results.json").lessons
    assert lesson.slug == "00_start_here"


@pytest.mark.usefixtures("ran")
def test_a_run_that_is_interrupted_at_once_writes_nothing(command: Command, folder: Path) -> None:
    assert command("run", "01").returncode == 130
    assert not (folder / "build").exists()


def test_a_summary_shows_brackets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    verdicts = [("00", SimpleNamespace(verdict="holds", number="9x"))]
    row = SimpleNamespace(claim=SimpleNamespace(id="1", says="Use [a pool]."), verdicts=verdicts)
    report: Any = SimpleNamespace(rows=[row], counts={"holds": 1})
    _print_summary(report)
    assert "Use [a pool]." in capsys.readouterr().out


def said_in_latin_1(code: str) -> str:
    code = f"from course_app.cli.console import *; say_what_can_be_said(); {code}"
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="latin-1", check=True
    ).stdout


def test_output_goes_on_where_its_encoding_lacks_a_sign() -> None:
    assert said_in_latin_1("output().print('\\N{CHECK MARK} passed')") == "? passed\n"


def test_json_loses_no_letter_whatever_the_encoding() -> None:
    printed = said_in_latin_1("print_json({'learner': 'Zoë Łukasiewicz \\udce9'})")
    assert json.loads(printed) == {"learner": "Zoë Łukasiewicz \udce9"}


def test_the_next_step_of_an_nbgrader_course_can_be_pasted(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {folder / "source.ipynb": "written"}
    monkeypatch.setattr("course_app.classroom.nbgrader_course.write_course", lambda *_: written)
    assert "Next: cd 'my class' && nbgrader" in command("nbgrader", "my class", "00").stdout


@pytest.mark.slow
def test_the_data_set_is_made_before_somebody_waits_for_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, _, folder = command("prepare").stdout.strip().partition(": ")
    assert Path(folder).is_relative_to(tmp_path)
    assert (Path(folder) / "manifest.json").is_file()


def test_doctor_says_something_about_everything(command: Command) -> None:
    result = command("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert set(checks) == {
        "Python",
        "Packages",
        "Place",
        "Cores",
        "Memory",
        "Servers",
        "Settings",
        "Services",
        "Load generator",
        "Noise",
    }
    for check in checks.values():
        assert check["found"]
        assert check["advice"] or check["state"] == "ok"
    assert result.returncode == any(check["state"] == "problem" for check in checks.values())
    assert checks["Services"]["state"] == "ok"
    assert checks["Load generator"]["state"] != "problem"


def test_bench_lists_every_bench_with_what_it_asks(command: Command) -> None:
    result = command("bench", "--list")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == bench_names()


def test_an_unknown_bench_is_one_sentence_and_a_failure(command: Command) -> None:
    result = command("bench", "hurry")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: There is no bench hurry.")


BENCH = """\
\"\"\"Is one more than {bar}?\"\"\"
from benchmarks import BenchResult
from course_app.errors import CourseError

def run():
    if {bar} < 0:
        raise CourseError("The bar is missing. Put it up.")
    rows, figures = [("one [1]", "1")], {{"one": 1}}
    return BenchResult("Ones", ("what", "number"), rows, {{"it is more": 1 > {bar}}}, figures)
"""


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three benches instead of the real ones: one holds, one fails, one cannot run."""
    for name, bar in {"high": 2, "low": 0, "missing": -1}.items():
        (tmp_path / f"{name}.py").write_text(BENCH.format(bar=bar))
        monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    monkeypatch.setattr(benchmarks, "__path__", [str(tmp_path)])


def test_the_exercises_of_a_bench_that_has_none_are_refused(command: Command) -> None:
    result = command("bench", "generator", "--exercise", "04")
    assert result.returncode == 1
    assert "course bench checks --exercise 04" in result.stderr


@pytest.mark.usefixtures("benches")
def test_a_bench_prints_its_table_and_what_held(command: Command) -> None:
    result = command("bench", "low")
    assert result.returncode == 0
    assert "one [1]" in result.stdout
    assert "held: it is more" in result.stdout


@pytest.mark.usefixtures("benches")
def test_bench_fails_for_what_did_not_hold_and_the_rest_goes_on(command: Command) -> None:
    result = command("bench")
    assert result.returncode == 1
    assert "missed: it is more" in result.stdout
    assert "held: it is more" in result.stdout
    assert "Error: The bar is missing." in result.stderr


@pytest.mark.usefixtures("benches")
def test_programs_read_a_benchs_figures_in_json(command: Command) -> None:
    data = json.loads(command("bench", "low", "missing", "--json").stdout)
    assert data["low"]["figures"] == {"one": 1}
    assert data["missing"] is None


def test_machines_of_a_folder_become_a_page(command: Command, folder: Path) -> None:
    (folder / "handed-in").mkdir()
    (folder / "handed-in" / "ada.json").write_text("{}")
    result = command("machines", str(folder / "handed-in"), "--out", str(folder / "page"))
    assert result.returncode == 0
    assert "ada.json holds no results" in result.stderr
    assert "Runs: 0." in result.stdout
    assert (folder / "page" / "index.html").is_file()


@pytest.mark.usefixtures("ran")
def test_a_run_whose_results_could_not_be_kept_does_not_begin(
    command: Command, folder: Path, ran: list[str]
) -> None:
    (folder / "build").touch()  # a file, where a folder has to be
    result = command("run", "00")
    assert result.returncode == 1
    assert "build" in result.stderr
    assert "Traceback" not in result.stderr
    assert ran == []


def test_a_run_does_not_begin_on_a_full_disk(
    command: Command, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    module = sys.modules["course_app.cli.run"]  # the package has the function by that name
    monkeypatch.setattr(module, "TemporaryFile", lambda **_: Full())
    result = command("run", "00")
    assert result.returncode == 1
    assert result.stderr == "Error: The disk is full. Make room and try again.\n"
    assert ran == []


@pytest.mark.usefixtures("ran")
def test_pages_that_cannot_be_made_cost_neither_results_nor_earlier_pages(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("run", "00").returncode == 0
    report = folder / "build/report"
    (report / "results.json").unlink()

    def fails(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("course_app.authoring.pages.lesson_page", fails)
    result = command("run", "00")
    assert "The disk is full" in result.stderr
    assert "Claims:" in result.stdout
    assert (report / "00_start_here.html").is_file()
    assert read_results(report / "results.json").lessons[0].slug == "00_start_here"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/course/x"), "/course/x: Permission"),
        (FileNotFoundError(errno.ENOENT, "Gone", "/course/x"), "x: Gone. Put that right"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full. Make room"),
    ],
)
def test_a_file_that_the_system_refuses_is_one_sentence_and_a_failure(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("course_app.authoring.build.plan", refused)
    result = command("build")
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_of_ours_keeps_its_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr("course_app.authoring.build.plan", refused)
    with pytest.raises(ConnectionRefusedError):
        command("build")


def test_json_has_no_word_for_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"p99": math.nan, "more": [(math.inf, 1.5)]})
    assert json.loads(capsys.readouterr().out) == {"p99": None, "more": [[None, 1.5]]}
