"""The three trees: built, kept, compared."""

from pathlib import Path

import nbformat
import pytest

from course_app.authoring.build import Outcome, differences, plan, write
from course_app.authoring.contents import Course
from course_app.authoring.notebook import as_text, read_notebook
from course_app.errors import CourseError

LESSON = "notebooks/00_start_here.ipynb"
EXERCISE = "exercises/01_pool.ipynb"
SOLUTION = "solutions/01_pool.ipynb"


def build(course: Course, *, force: bool = False) -> dict[str, Outcome]:
    """Build everything; what happened to each file."""
    return {x.name: write(x, force=force) for x in plan(course, course.lessons)}


def change_source(course: Course, old: str, new: str) -> None:
    """Change the lesson's text."""
    path = course.root / "content/lessons/00_start_here.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def add_output(path: Path, text: str = "42\n") -> None:
    """As if the last code cell had been run."""
    notebook = read_notebook(path)
    cell = notebook.cells[-1]
    cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text=text)], 2
    path.write_text(as_text(notebook))


def test_each_lesson_that_has_a_text_is_built_into_its_trees(course: Course) -> None:
    assert build(course) == dict.fromkeys((LESSON, EXERCISE, SOLUTION), Outcome.WRITTEN)
    assert all((course.root / name).is_file() for name in (LESSON, EXERCISE, SOLUTION))


def test_a_second_build_changes_no_byte(course: Course) -> None:
    build(course)
    before = (course.root / LESSON).read_bytes()
    assert set(build(course).values()) == {Outcome.UNCHANGED}
    assert (course.root / LESSON).read_bytes() == before


def test_answers_stand_in_the_solution_only(course: Course) -> None:
    build(course)
    exercise, solution = ((course.root / name).read_text() for name in (EXERCISE, SOLUTION))
    for answer in ("create_the_one_pool", "pool.while_running", "has to wait for a connection"):
        assert answer in solution
        assert answer not in exercise
    assert "your app goes here" in exercise
    assert "your app goes here" not in solution
    assert not [marker for marker in ("blank:", "solution:", "end solution") if marker in exercise]


def test_an_exercise_that_gives_its_answer_away_is_refused_with_the_answers_line(
    course: Course,
) -> None:
    path = course.root / "content/exercises/01_pool.py"
    told = "# app = App(lifespan=pool.while_running)"
    path.write_text(path.read_text().replace("# your app", told))
    with pytest.raises(CourseError, match=r"content/exercises/01_pool.py:12: the answer"):
        plan(course, course.lessons)


def test_outputs_stay_when_only_prose_changes(course: Course) -> None:
    build(course)
    add_output(course.root / LESSON)
    change_source(course, "Start here", "Begin here")
    assert build(course)[LESSON] is Outcome.WRITTEN
    assert read_notebook(course.root / LESSON).cells[-1].outputs[0].text == "42\n"


def test_outputs_go_when_code_changes(course: Course) -> None:
    build(course)
    add_output(course.root / LESSON)
    change_source(course, "number * 7", "number * 8")
    assert build(course)[LESSON] is Outcome.OUTPUTS_DROPPED
    assert not read_notebook(course.root / LESSON).cells[-1].outputs


def test_outputs_never_stay_in_an_exercise(course: Course) -> None:
    build(course)
    add_output(course.root / EXERCISE, "pool.while_running")
    assert build(course)[EXERCISE] is Outcome.WRITTEN
    assert "while_running" not in (course.root / EXERCISE).read_text()


def test_a_learners_work_is_kept_unless_it_is_to_be_overwritten(course: Course) -> None:
    build(course)
    path = course.root / EXERCISE
    notebook = read_notebook(path)
    notebook.cells[2].source = "app = my_own_attempt"
    path.write_text(as_text(notebook))
    assert build(course)[EXERCISE] is Outcome.KEPT
    assert "my_own_attempt" in path.read_text()
    assert build(course, force=True)[EXERCISE] is Outcome.WRITTEN
    assert "my_own_attempt" not in path.read_text()


def test_a_file_that_is_no_notebook_is_refused_unless_it_is_to_be_overwritten(
    course: Course,
) -> None:
    build(course)
    for damaged in (b"<<<<<<< mine", b"\xff\xfe"):
        (course.root / LESSON).write_bytes(damaged)
        with pytest.raises(CourseError, match="not a readable notebook"):
            build(course)
        assert build(course, force=True)[LESSON] is Outcome.WRITTEN


def test_a_build_that_is_interrupted_leaves_the_old_file_whole(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(course)
    before = (course.root / LESSON).read_bytes()
    change_source(course, "Start here", "Begin here")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(course)
    assert (course.root / LESSON).read_bytes() == before
    assert [path.name for path in (course.root / LESSON).parent.iterdir()] == [Path(LESSON).name]


def test_after_a_build_nothing_differs_and_outputs_do_not_count(course: Course) -> None:
    build(course)
    add_output(course.root / LESSON)
    assert differences(course) == []


def test_each_difference_is_a_sentence_that_says_what_to_do(course: Course) -> None:
    build(course)
    change_source(course, "number * 7", "number * 8")
    (course.root / EXERCISE).unlink()
    (course.root / SOLUTION).rename(course.root / "solutions/01_old.ipynb")
    assert differences(course) == [
        f"{LESSON} differs from content/lessons/00_start_here.py: run `course build`.",
        f"{EXERCISE} is missing: run `course build`.",
        f"{SOLUTION} is missing: run `course build`.",
        "solutions/01_old.ipynb has no source in content/ any more: delete it.",
    ]


def test_differences_of_some_lessons_are_theirs_only(course: Course) -> None:
    build(course)
    change_source(course, "number * 7", "number * 8")
    (course.root / SOLUTION).rename(course.root / "solutions/01_old.ipynb")
    first, second = course.lessons
    assert [said.split()[0] for said in differences(course, [first])] == [LESSON]
    assert [said.split()[0] for said in differences(course, [second])] == [SOLUTION]


def test_a_learners_own_notebook_beside_the_exercises_is_no_difference(course: Course) -> None:
    build(course)
    own = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(own, course.root / "exercises/Untitled.ipynb")
    assert differences(course) == []


def test_notebooks_of_a_format_without_ids_and_with_a_byte_order_mark_are_notebooks(
    course: Course,
) -> None:
    build(course)
    for number, change in enumerate(("", "app = my_own_attempt")):
        path = course.root / EXERCISE
        notebook = read_notebook(path)
        notebook.nbformat_minor = 4
        for cell in notebook.cells:
            cell.pop("id", None)
        notebook.cells[2].source = change or notebook.cells[2].source
        path.write_bytes(b"\xef\xbb\xbf" * number + nbformat.writes(notebook).encode())
        assert differences(course)
        assert build(course)[EXERCISE] is (Outcome.KEPT if change else Outcome.WRITTEN)
    assert build(course, force=True)[EXERCISE] is Outcome.WRITTEN
    assert differences(course) == []


def test_the_same_cells_without_ids_and_notes_hold_no_work_of_a_learner(course: Course) -> None:
    build(course)
    path = course.root / EXERCISE
    notebook = read_notebook(path)
    notebook.metadata, notebook.nbformat_minor = {}, 0
    for cell in notebook.cells:
        del cell["id"]
    nbformat.write(notebook, path)
    assert build(course)[EXERCISE] is Outcome.WRITTEN
    assert differences(course) == []


def test_what_is_to_be_overwritten_is_not_asked_what_it_is(course: Course) -> None:
    build(course)
    path = course.root / EXERCISE
    notebook = read_notebook(path)
    notebook.metadata["course"] = "another program's"
    notebook.cells[2].source = "app = my_own_attempt"
    nbformat.write(notebook, path)
    assert build(course)[EXERCISE] is Outcome.KEPT
    assert build(course, force=True)[EXERCISE] is Outcome.WRITTEN
