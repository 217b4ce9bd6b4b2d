"""``course check``: judge the answer in a file."""

from typing import TYPE_CHECKING

import typer

from course_app.cli.answer import Answer, Which, find_answer
from course_app.cli.console import Json, output, print_json

if TYPE_CHECKING:
    from course_app.grading import Scorecard

#: What to do next, by the outcome of the check.
_NEXT = {
    "not attempted": "Define what the exercise asks for, save the file and check again.",
    "failed": "Stuck? `course hint {number}`",
    "cannot tell": "Close what else keeps this machine busy, and check again.",
    "could not check": "That is not your fault: `course doctor` says what is wrong here.",
}


def check(answer: Answer, exercise: Which = None, json: Json = False) -> None:
    """Check an answer and show its scorecard; fails unless everything is passed.

    The file is taken as it was saved, and its code runs in a process of its own.
    """
    card = find_answer(answer, exercise).check()
    if json:
        print_json(card.to_dict())
    else:
        print_card(card)
    if not card.passed:
        raise typer.Exit(1)


def print_card(card: "Scorecard") -> None:
    """The scorecard and what to do next."""
    output().print(card)
    if advice := _NEXT.get(card.outcome):
        output().print(advice.format(number=card.exercise[:2]), soft_wrap=True)
