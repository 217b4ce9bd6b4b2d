"""Forty honest learners get what they earned, whatever twenty others handed in beside them."""

import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import toy
from submissions import RIGHT, TIGHT, assert_nothing_runs, in_handler, no_services

from course_app.classroom.collect import collect
from course_app.classroom.grade import grade_class
from course_app.classroom.ledger import Grade, Ledger, Status
from course_app.classroom.report import ClassReport, write_class
from course_app.grading import Checker, Scorecard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: Counted, not timed, so that a grade does not depend on the moment.
EXERCISE = replace(toy.exercise, rubric=(toy.same_squares, toy.refuses))
SLUG = EXERCISE.slug

LOOSE = RIGHT.replace("number: int", "number: str").replace(
    "    if number", "    number = int(number) if number.isdigit() else 0\n    if number"
)
#: What honest learners hand in, and the points that it earns.
HONEST = {
    RIGHT: 6.0,
    LOOSE: 5.0,
    RIGHT.replace("number * number", "number + number"): 0.0,
    RIGHT.replace("return", "retrun"): 0.0,
}
NAMES = ["O'Neil, Zoë", 'Bob "Bobby"', "=1+1", "+49 170", "@home", "李雷", "a;b", "<b>Eve"]


def notebook(*cells: str, kernel: str = "python3") -> str:
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": kernel, "display_name": kernel}},
    )
    return str(nbformat.writes(made))


def swollen() -> str:
    made = json.loads(notebook(RIGHT))
    text = {"name": "stdout", "output_type": "stream", "text": ["x" * 50_000_000]}
    made["cells"][0]["outputs"] = [text]
    return json.dumps(made)


def before_serving(code: str) -> str:
    return f"import os, signal, socket, sys, time\n{code}\n{RIGHT}"


#: What the others hand in: a notebook's text, and its points (None where no number is known).
ODD: dict[str, tuple[str, float | None]] = {
    "not JSON": ("{", 0),
    "empty": ("", 0),
    "null": ("null", 0),
    "no cells": ('{"cells": []}', None),
    "swollen": (swollen(), 0),
    "duplicated cells": (notebook(RIGHT, RIGHT, RIGHT), 6),
    "deleted cells": (notebook("# nothing is left"), None),
    "wrong kernel": (notebook(RIGHT, kernel="ir"), 6),
    "hangs": (notebook(before_serving("while True: pass")), 0),
    "exits": (notebook(before_serving("os._exit(0)")), 0),
    "signals its parent": (notebook(before_serving("os.kill(os.getppid(), 9)")), None),
    "signals its group": (notebook(before_serving("os.killpg(0, 9)")), 0),
    "forks": (notebook(before_serving("while True: os.fork()")), 0),
    "floods": (notebook(before_serving("print('x' * 100_000_000)")), 0),
    "allocates": (notebook(before_serving("a = [bytes(10**7) for _ in range(10**4)]")), 0),
    "blocks": (notebook(in_handler("time.sleep(1000)")), 0),
    "ends while it serves": (notebook(in_handler("os._exit(0)")), 0),
}


@pytest.fixture
def checker() -> Iterator[Checker]:
    with Checker(no_services, isolated=True, limits=TIGHT) as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """Forty honest entries, as folders, archives and single files; then twenty others."""
    folder = tmp_path / "handed in"
    for number, name in enumerate(honest()):
        code = list(HONEST)[number % len(HONEST)]
        match number % 3:
            case 0:
                (folder / name / "week 4").mkdir(parents=True)
                (folder / name / "week 4" / f"{SLUG}.ipynb").write_text(notebook(code))
            case 1:
                with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
                    archive.writestr(f"mine/{SLUG}.ipynb", notebook("x = 1", code))
            case _:
                (folder / f"{name}_{SLUG}.py").write_text(code)
    for name, (text, _) in ODD.items():
        (folder / name).mkdir()
        (folder / name / f"{SLUG}.ipynb").write_text(text)
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    with zipfile.ZipFile(folder / "climbs.zip", "w") as archive:
        archive.writestr(f"../../{SLUG}.ipynb", notebook(RIGHT))
    (folder / "no archive.zip").write_text("PK")
    return folder


def honest() -> list[str]:
    return NAMES + [f"learner {number}" for number in range(40 - len(NAMES))]


def test_a_class_of_sixty_is_graded_to_its_end(
    checker: Checker, handed_in: Path, tmp_path: Path
) -> None:
    work, out, began = tmp_path / "work", tmp_path / "out", time.time()
    work.mkdir()

    def judge(path: Path, _exercise: str, seed: int) -> Scorecard:
        return checker.check(EXERCISE, path, seed=seed)

    submissions = collect(handed_in, work, {"98": SLUG})
    assert len(submissions) == 60
    grades = {g.learner: g for g in grade_class(submissions, Ledger(out), judge, seed=1)}

    earned = {name: list(HONEST.values())[n % len(HONEST)] for n, name in enumerate(honest())}
    assert {name: grades[name].points for name in earned} == earned
    odd = {name: points for name, (_, points) in ODD.items() if points is not None}
    assert {name: grades[name].points for name in odd} == odd
    assert grades["no cells"].status is grades["deleted cells"].status is Status.NOT_ATTEMPTED
    for name in ("link", "climbs", "no archive"):
        assert grades[name].status is Status.COULD_NOT_CHECK
        assert grades[name].points is None
    assert_all_is_told(list(grades.values()), out)
    assert not (tmp_path / f"{SLUG}.ipynb").exists()
    assert_nothing_runs(began)


def assert_all_is_told(grades: list[Grade], out: Path) -> None:
    write_class(ClassReport(tuple(grades)), out)
    rows = (out / "grades.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(rows) == 61
    assert len(list((out / "learners").glob("*.html"))) == 60
    assert not any(row.lstrip('"').startswith(("=", "+", "@")) for row in rows)
