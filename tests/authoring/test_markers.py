"""Answers between markers: taken out of exercises, and never leaking into them."""

import pytest

from course_app.authoring.markers import leaks, split
from course_app.errors import CourseError

SOURCE = """\
import asyncio
# blank:
answer = ...  # fill this in
# solution:
answer = asyncio.gather(first, second)
# end solution
print(answer)
"""


def test_the_exercise_gets_the_blank_and_the_solution_gets_the_answer() -> None:
    sides = split(SOURCE, "x.py")
    assert sides.exercise == "import asyncio\nanswer = ...  # fill this in\nprint(answer)\n"
    assert sides.solution == (
        "import asyncio\nanswer = asyncio.gather(first, second)\nprint(answer)\n"
    )


def test_a_text_without_markers_is_the_same_on_both_sides() -> None:
    sides = split("x = 1\n", "x.py")
    assert sides.exercise == sides.solution == "x = 1\n"
    assert not sides.answers


def test_several_blocks_and_empty_parts_are_fine() -> None:
    first = "# blank:\n# solution:\na = 1\n# end solution\n"
    text = f"{first}# blank:\nb = 2\n# solution:\n# end solution\n"
    sides = split(text, "x.py")
    assert (sides.exercise, sides.solution) == ("b = 2\n", "a = 1\n")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("# blank:\nx\n", 1, "has no `# end solution`"),
        ("x\n# blank:\n# solution:\n", 2, "has no `# end solution`"),
        ("# solution:\nx\n# end solution\n", 1, "only `# blank:` can"),
        ("x\n# end solution\n", 2, "only `# blank:` can"),
        ("# blank:\n# end solution\n", 2, "only `# solution:` can"),
        ("# blank:\n# blank:\n", 2, "only `# solution:` can"),
        ("# blank:\n# solution:\n# blank:\n", 3, "only `# end solution` can"),
        ("# blank:\n# solution:\n# solution:\n", 3, "only `# end solution` can"),
        ("def f():\n    # blank:\n", 2, "is indented"),
        ("# blank:\n# solution:\n\t# end solution\n", 3, "is indented"),
        ("# Blank:\n", 1, "looks like a marker"),
        ("#solution:\n", 1, "looks like a marker"),
        ("# solution\n", 1, "looks like a marker"),
        ("# blank:\n# solution:\n# end_solution\n", 3, "looks like a marker"),
    ],
)
def test_a_wrong_marker_is_refused_with_its_file_and_line(text: str, line: int, said: str) -> None:
    with pytest.raises(CourseError, match=f"^x.py:{line}: .*{said}"):
        split(text, "x.py")


def test_words_in_prose_are_no_markers() -> None:
    text = "# The solution: none. A blank: too.\n"
    assert split(text, "x.py").solution == text


def test_answers_are_known_with_their_line_numbers() -> None:
    assert split(SOURCE, "x.py").answers == {"answer = asyncio.gather(first, second)": 5}


@pytest.mark.parametrize("around", ["# {}", "x = 1  # {}", "    {}  # uncomment me"])
def test_an_answer_leaks_also_as_a_part_of_a_line(around: str) -> None:
    answer = "answer = asyncio.gather(first, second)"
    sides = split(SOURCE.replace("import asyncio", around.format(answer)), "x.py")
    assert leaks(sides, sides.exercise) == [answer]
    assert leaks(split(SOURCE, "x.py"), split(SOURCE, "x.py").exercise) == []


def test_short_lines_and_lines_that_stand_in_the_open_give_nothing_away() -> None:
    text = (
        "import asyncio\n# blank:\n# solution:\nelse:\n    pass\nimport asyncio\n# end solution\n"
    )
    assert split(text, "x.py").answers == {}


def test_the_name_of_a_function_gives_no_answer_away() -> None:
    text = """\
# %%
async def report(limit: int): ...
# blank:
# solution:
async def report(
    limit: Annotated[int, Query(le=100)],
): ...
# end solution
"""
    sides = split(text, "x.py")
    assert list(sides.answers) == ["limit: Annotated[int, Query(le=100)],"]
    assert leaks(sides, sides.exercise) == []
