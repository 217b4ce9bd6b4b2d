"""What learners are shown of each exercise: its solution, and its hints as Markdown."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from course_app import learn
from course_app.authoring.contents import find_course
from course_app.authoring.notebook import read_notebook
from course_app.exercises.async_.rubric import ComputesHere

COURSE = find_course(Path(__file__).parent)
SLUGS = [x.slug for x in COURSE.lessons if COURSE.source("exercises", x).is_file()]
CODE = re.compile(r"`[^`]+`")

#: Runs notebooks as a grader does, and prints those whose last cell did not come to its end.
RUN = """
import json, sys
from pathlib import Path
from course_app.grading.source import load_file
given = {"postgres_dsn": "postgresql://nobody@127.0.0.1/none", "valkey_url": "redis://127.0.0.1"}
loaded = {path: load_file(Path(path), given) for path in sys.argv[1:]}
print(json.dumps({p: x.error for p, x in loaded.items() if "came_to_its_end" not in x.namespace}))
"""

LAST = """
create_app = app = None
{}
assert app or callable(create_app)
came_to_its_end = True
"""


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.parametrize("slug", SLUGS)
def test_the_shown_solution_is_what_the_solution_has_beside_the_exercise(slug: str) -> None:
    given, solved = (
        [cell.source for cell in read_notebook(COURSE.root / tree / f"{slug}.ipynb").cells]
        for tree in ("exercises", "solutions")
    )
    assert learn.solution(slug).body == "\n\n\n".join(x for x in solved if x not in given)


@pytest.mark.slow
def test_the_shown_solutions_make_apps_of_the_given_cells(tmp_path: Path) -> None:
    paths = []
    for slug in SLUGS:
        cells = read_notebook(COURSE.root / f"exercises/{slug}.ipynb").cells
        given = [cell for cell in cells if cell.cell_type == "code"]
        last = {"cell_type": "code", "source": LAST.format(learn.solution(slug).body)}
        paths.append(tmp_path / f"{slug}.ipynb")
        paths[-1].write_text(json.dumps({"cells": [*given, last]}))
    command = [sys.executable, "-c", RUN, *paths]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == {}


@pytest.mark.parametrize("slug", SLUGS)
def test_a_hint_in_markdown_loses_nothing_but_the_marks_of_code(slug: str) -> None:
    for hint in learn.load_exercise(slug).hints:
        (paragraph,) = [x for x in MarkdownIt().parse(hint) if x.type == "inline"]
        rendered = "".join(x.content if x.type != "softbreak" else "\n" for x in paragraph.children)
        assert rendered == hint.replace("`", "")
        assert "$" not in CODE.sub("", hint)  # notebooks would take it for mathematics


def test_who_computes_in_the_server_is_not_sent_to_interpreters_in_it() -> None:
    """Python 3.14 has executors of those, beside the ones of processes."""
    assert "a process of its own" in ComputesHere.hint
    assert "interpreter of its own" not in ComputesHere.hint
