"""Are the pages right, and do they show what is in the database now?"""

import secrets
from typing import Any

from course_app.exercises.finding_the_bottleneck.mixup import LAST
from course_app.grading import Candidate, Exam, Failure
from course_app.grading.failures import DifferentAnswer
from course_app.load import Request, Response, get

_SHOWN = 120


class StaleAnswer(Failure):
    """An answer shows what was in the database some time ago."""

    hint = "Remembering answers is not a repair. What made the stage slow in the first place?"


def compare_parts(exam: Exam) -> None:
    """Pages are long: say in which part the first difference is."""
    for page in LAST:
        path = get(f"/{page}/{exam.random.randint(1, 100)}")
        (mine,), (theirs,) = exam.ask(exam.learner, path), exam.ask(exam.reference, path)
        got, wanted = _parts(mine), _parts(theirs)
        for part in wanted:
            if got and got.get(part) != wanted[part]:
                observed = f"{path.path}, {part}: {str(got.get(part))[:_SHOWN]}"
                raise DifferentAnswer(observed, str(wanted[part])[:_SHOWN])


def _parts(answer: Response) -> dict[str, Any]:
    """Nothing, where the answer is no page; the comparison of whole answers tells that."""
    try:
        page = answer.json()
    except ValueError:
        return {}
    return page if isinstance(page, dict) else {}


def change_behind_its_back(exam: Exam) -> int:
    """Pages that were shown before are changed in both databases; each must show it at once."""
    number, text = exam.random.randint(1, 100), f"New {secrets.token_hex(6)}"
    changes: list[tuple[Request, str, tuple[Any, ...]]] = [
        (
            get(f"/posts/{number}"),
            "INSERT INTO comments (id, post_id, author_id, body) VALUES (900001, %s, 1, %s)",
            (number, text),
        ),
        (get(f"/users/{number}"), "UPDATE users SET name = %s WHERE id = %s", (text, number)),
        (
            get(f"/tags/{number}"),
            "WITH new AS (INSERT INTO posts (id, author_id, title, body) "
            "VALUES (900001, 1, %s, 'new') RETURNING id) "
            "INSERT INTO post_tags SELECT id, %s FROM new",
            (text, number),
        ),
    ]
    for page, statement, values in changes:
        _answer(exam, exam.learner, page)
        exam.write(statement, *values)
        mine, theirs = (_answer(exam, each, page) for each in (exam.learner, exam.reference))
        if mine != theirs:
            raise StaleAnswer(f"{page.path}: {mine[:120]}", f"{theirs[:120]}")
    return len(changes)


def _answer(exam: Exam, candidate: Candidate, page: Request) -> str:
    (answer,) = exam.ask(candidate, page)
    return answer.text
