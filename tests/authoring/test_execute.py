"""Notebooks run in real kernels; what is kept, what is reported, what is taken out."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from course_app.authoring.build import executed, plan
from course_app.authoring.contents import Course
from course_app.authoring.execute import CellFailed, execute
from course_app.authoring.machine_paths import scrub
from course_app.authoring.notebook import as_text, make_notebook
from course_app.errors import CourseError

#: One kernel runs them all: starting one takes a second.
OUTPUTS = """\
# %% [markdown]
# # Outputs

# %%
import sys, warnings

print("one")
print("two")
print("aside", file=sys.stderr)

# %%
from ipywidgets import IntProgress

IntProgress()

# %%
warnings.warn("careful")

# %%
from IPython.display import display

line = display({"text/plain": "busy"}, raw=True, display_id=True)
line.update({"text/plain": "done"}, raw=True)

# %%
import os

os.environ["IPYTHONDIR"] != os.path.expanduser("~/.ipython"), os.path.basename(os.getcwd())
"""


def run(text: str, root: Path, limit: float = 60) -> nbformat.NotebookNode:
    """Execute percent-format text."""
    return execute(make_notebook(text, "00_x"), name="00_x", root=root, cell_seconds=limit)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    return run(OUTPUTS, tmp_path_factory.mktemp("a root"))


def test_lines_that_a_cell_prints_are_one_output(notebook: nbformat.NotebookNode) -> None:
    assert [(o.name, o.text) for o in notebook.cells[1].outputs] == [
        ("stdout", "one\ntwo\n"),
        ("stderr", "aside\n"),
    ]


def test_widgets_leave_their_text_and_no_state(notebook: nbformat.NotebookNode) -> None:
    assert set(notebook.cells[2].outputs[0].data) == {"text/plain"}
    assert "widgets" not in notebook.metadata


def test_an_updated_display_leaves_its_last_state(notebook: nbformat.NotebookNode) -> None:
    assert [output.data["text/plain"] for output in notebook.cells[4].outputs] == ["done"]


def test_the_kernel_runs_in_the_notebooks_folder_without_the_authors_profile(
    notebook: nbformat.NotebookNode,
) -> None:
    assert notebook.cells[5].outputs[0].data["text/plain"] == "(True, 'notebooks')"


def test_nothing_of_the_run_is_left_in_the_metadata(notebook: nbformat.NotebookNode) -> None:
    assert notebook.metadata == make_notebook(OUTPUTS, "00_x").metadata
    assert all(not cell.metadata for cell in notebook.cells)
    nbformat.validate(notebook)


def test_the_kernels_temporary_file_names_are_shortened(
    notebook: nbformat.NotebookNode, tmp_path: Path
) -> None:
    scrub(notebook, tmp_path, "00_x")
    assert notebook.cells[3].outputs[0].text.startswith("cell:1: UserWarning: careful")


def test_a_failed_cell_is_reported_with_its_source_and_error(tmp_path: Path) -> None:
    with pytest.raises(CellFailed, match="00_x, cell 2 failed: ZeroDivisionError") as caught:
        run("# %% [markdown]\n# x\n\n# %%\nprint(1)\n\n# %%\n1 / 0\n", tmp_path)
    failure = caught.value
    assert failure.source == "1 / 0"
    assert "division by zero" in failure.details
    assert failure.notebook.cells[1].outputs[0].text == "1\n"


def test_a_cell_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CellFailed, match="longer than 1 s"):
        run("# %%\nimport time\n\ntime.sleep(300)\n", tmp_path, limit=1)


def test_a_cell_that_ends_its_kernel_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CellFailed, match="its kernel ended") as caught:
        run("# %%\nimport os\n\nos.write(2, b'last words')\nos._exit(1)\n", tmp_path)
    assert "last words" in caught.value.details


def test_a_long_folder_for_temporary_files_is_no_hindrance_and_sigterm_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a kernel's socket has no room for such a folder."""
    base = tmp_path / ("x" * 100)
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))

    def own(*_: object) -> None:
        """Somebody's handler."""

    before = signal.signal(signal.SIGTERM, own)
    try:
        assert run("# %%\nprint(42)\n", tmp_path).cells[0].outputs[0].text == "42\n"
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_stops_at_once_and_leaves_no_kernel(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from course_app.authoring.execute import execute\n"
        "from course_app.authoring.notebook import make_notebook\n"
        'text = \'# %%\\nopen("begun", "w"); import time; time.sleep(300)\\n\'\n'
        "execute(make_notebook(text, '00_x'), name='00_x', root=Path(sys.argv[1]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "notebooks" / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert not [kernel for kernel in kernels if kernel.is_running()]


def test_a_lesson_fit_to_commit_shows_what_it_printed(course: Course) -> None:
    planned = next(x for x in plan(course, course.lessons) if x.tree == "notebooks")
    seen: list[tuple[int, int]] = []
    done = executed(planned, course, 60, lambda cells, total: seen.append((cells, total)))
    assert done.notebook.cells[2].outputs[0].text == "42\n"
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def printed(text: str) -> nbformat.NotebookNode:
    """A notebook whose only cell has printed a text."""
    notebook = make_notebook("# %%\nx\n", "00_x")
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=text)]
    return notebook


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("at {root}/course_app/x.py:3", "at ./course_app/x.py:3"),
        ("{home}/notes", "~/notes"),
        ("GET /users/7 HTTP/1.1", "GET /users/7 HTTP/1.1"),
        ("http://127.0.0.1/usr/bin", "http://127.0.0.1/usr/bin"),
        ("</td></tr>", "</td></tr>"),
        ("{root}-other/x", "{root}-other/x"),
        # A picture's letters may read like a path that is here, or one that is too long to be.
        ('<img src="data:image/png;base64,A+/usr/bin+{home}+=">',) * 2,
        (f'<img src="data:image/svg+xml;base64,A+/a/{"b" * 5000}">',) * 2,
    ],
)
def test_paths_of_this_machine_are_shortened_and_all_else_stays(text: str, left: str) -> None:
    places = {"root": "/course/root", "home": str(Path.home())}
    notebook = printed(text.format(**places))
    scrub(notebook, Path("/course/root"), "00_x")
    assert notebook.cells[0].outputs[0].text == left.format(**places)


@pytest.mark.parametrize("path", ["/usr/bin", f"{tempfile.gettempdir()}/secret/file"])
def test_another_path_of_this_machine_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(CourseError, match=f"00_x, cell 0 prints {path}, a path of this machine"):
        scrub(printed(f"see {path}"), tmp_path, "00_x")


def test_paths_are_found_in_tracebacks_and_rich_outputs_too(tmp_path: Path) -> None:
    notebook = make_notebook("# %%\nx\n", "00_x")
    notebook.cells[0].outputs = [
        nbformat.v4.new_output("display_data", {"text/html": f"<b>{tmp_path}/a</b>"}),
        nbformat.v4.new_output("error", ename="E", evalue="x", traceback=[f"in {tmp_path}/a"]),
    ]
    scrub(notebook, tmp_path, "00_x")
    assert str(tmp_path) not in as_text(notebook)
