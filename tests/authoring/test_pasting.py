"""Code of an exercise stands once, in its module, and is pasted where its text imports it."""

import ast
from pathlib import Path

import pytest

from course_app.authoring.contents import find_course
from course_app.authoring.pasting import paste
from course_app.errors import CourseError

COURSE = find_course()
TEXTS = sorted((COURSE.root / "content" / "exercises").glob("*.py"))

TEXT = """\
# %% [markdown]
# A service:

# %%
from hashlib import sha256

from course_app.exercises.overload.baseline import seal_of, ROUNDS

# %%
print(seal_of(7))
from course_app.exercises.overload.baseline import takes_everything
takes_everything()
"""


def shown(text: str) -> str:
    return "\n".join(line for _, line in paste(text, "text.py"))


def test_what_is_imported_from_an_exercise_stands_there_in_the_order_of_its_module() -> None:
    text = shown(TEXT)
    assert "course_app.exercises" not in text
    assert text.index("ROUNDS = ") < text.index("def seal_of") < text.index("print(seal_of(7))")
    assert "import sha256\n\nROUNDS = 8_000\n\n\ndef seal_of(number" in text
    assert "print(seal_of(7))\n\n\ndef takes_everything()" in text
    assert "    return app\n\n\ntakes_everything()" in text
    ast.parse(text)


def test_a_pasted_line_has_the_number_of_its_import() -> None:
    numbers = {line: number for number, line in paste(TEXT, "text.py")}
    assert numbers["ROUNDS = 8_000"] == numbers["    return digest.hex()"] == 7
    assert numbers["takes_everything()"] == 12


def test_comments_and_decorators_belong_to_what_they_stand_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "course_app" / "exercises" / "own"
    package.mkdir(parents=True)
    (package / "given.py").write_text(
        "# not this\n\n# Why it is small.\nA, B = 1, 2\nC: int = 3\n\n\n"
        "# A class.\n@final\nclass D:\n    pass\n\n\nD.name = 'not D'\n"
    )
    monkeypatch.setattr("course_app.__file__", str(tmp_path / "course_app" / "__init__.py"))
    text = "from course_app.exercises.own.given import D, B, C\n"
    assert shown(text) == (
        "# Why it is small.\nA, B = 1, 2\nC: int = 3\n\n\n# A class.\n@final\nclass D:\n    pass"
    )


def test_other_texts_stay_as_they_are() -> None:
    text = "import math\n\n\n# %%\nawait something\n\n\n\n"
    assert shown(text) == text.rstrip("\n") + "\n\n\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from course_app.exercises.overload.nowhere import x", r"text.py:1: there is no course_"),
        ("from course_app.exercises.overload.baseline import x", r"text.py:1: .* not define x"),
        ("from course_app.exercises.overload.baseline import app", r"does not define app"),
        ("import course_app.exercises.overload\ndef (:", r"text.py:2: this is no Python: "),
    ],
)
def test_what_cannot_be_pasted_is_named(line: str, said: str) -> None:
    with pytest.raises(CourseError, match=said):
        paste(line, "text.py")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_no_text_repeats_what_stands_in_its_exercises_modules(path: Path) -> None:
    word = path.stem.partition("_")[2]
    (package,) = (COURSE.root / "course_app" / "exercises").glob(f"{word}*")
    defined = {
        source
        for module in package.glob("*.py")
        for source in definitions(module.read_text(encoding="utf-8"))
    }
    assert not definitions(path.read_text(encoding="utf-8")) & defined


def definitions(text: str) -> set[str]:
    """The source of each function and class of more than two lines."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = compile(text, "text", "exec", flags).body
    sources = [ast.get_source_segment(text, n) or "" for n in nodes if isinstance(n, kinds)]
    return {source for source in sources if source.count("\n") > 2}
