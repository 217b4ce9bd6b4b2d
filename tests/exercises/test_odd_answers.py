"""Whatever an app sends or a learner hands in, the check can judge it, and says what is wrong."""

import functools
import json
import random
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from test_exercises import EXERCISES, MODULES

from course_app.grading import Checker, Criterion, Exercise, Kind, Outcome, Scorecard
from course_app.services import Services

Message = MutableMapping[str, Any]
Call = Callable[..., Awaitable[None]]
#: Status and body of an answer, before and after.
Distortion = Callable[[int, bytes], tuple[int, bytes]]

HUGE = 10**30
#: So many odd answers are tried on each criterion; others for each exercise, the same each time.
TRIED = 1
#: Likewise of the odd values, for each that is handed in.
TRIED_VALUES = 4


def leaves(change: Callable[[Any], Any]) -> Distortion:
    """Change every value in a JSON body that is neither an object nor a list."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(each) for name, each in value.items()}
        return [changed(each) for each in value] if isinstance(value, list) else change(value)

    return whole(changed)


def whole(change: Callable[[Any], Any]) -> Distortion:
    """Change a JSON body; others stay as they are."""

    def distort(status: int, body: bytes) -> tuple[int, bytes]:
        try:
            return status, json.dumps(change(json.loads(body))).encode()
        except ValueError:
            return status, body

    return distort


def without_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_lists(each) for name, each in value.items()}
    return [] if isinstance(value, list) else value


DISTORTIONS: dict[str, Distortion] = {
    "no route": lambda _, __: (404, b'{"detail":"Not Found"}'),
    "always 200": lambda _, body: (200, body),
    "always 500": lambda _, __: (500, b"Internal Server Error"),
    "204": lambda _, __: (204, b""),
    "a list around it": whole(lambda value: [value]),
    "an empty object": whole(lambda _: {}),
    "an empty list": whole(lambda _: []),
    "null": whole(lambda _: None),
    "a number": whole(lambda _: HUGE),
    "a text": whole(lambda _: "{no} json"),
    "no names": whole(lambda value: {f"{{{n}}}": v for n, v in enumerate(value)} or [[]]),
    "empty lists": whole(without_lists),
    "nulls": leaves(lambda _: None),
    "texts": leaves(lambda value: f"{{{value}}}\r\n"),
    "huge numbers": leaves(lambda value: HUGE if isinstance(value, int) else value),
    "lists for values": leaves(lambda value: [value, {}]),
    "no JSON": lambda status, _: (status, b"<html>\xff\xfe"),
    "nothing": lambda status, _: (status, b""),
    "too deep": lambda status, _: (status, b"[" * 100_000),
}


class Odd:
    """An app around an app; from its n-th answer on, answers are others."""

    def __init__(self, app: Call, distort: Distortion, right_first: int) -> None:
        self.app, self.distort, self.right = app, distort, right_first

    async def __call__(self, scope: Message, receive: Call, send: Call) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        status = messages[0]["status"]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        headers = messages[0].get("headers", [])
        self.right -= 1
        if self.right < 0:
            status, body = self.distort(status, body)
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        kept += [(b"content-length", str(len(body)).encode())] if status != 204 else []
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": body})


def odd_answer(exercise: Exercise, distort: Distortion, right_first: int) -> Callable[..., Any]:
    @functools.wraps(exercise.reference)
    def create_app(**given: str) -> Any:
        return Odd(exercise.reference(**given), distort, right_first)

    return create_app


@pytest.fixture(scope="module")
def judge(services: Services) -> Iterator[Checker]:
    with Checker(lambda: services) as checker:
        yield checker


def refused(card: Scorecard, what: str) -> list[str]:
    """What could not be checked, or failed without a word."""
    return [
        f"{result.name} of {what}: {result.outcome}: {result.observed}"
        for result in card.results
        if result.outcome is Outcome.COULD_NOT_CHECK
        or (result.outcome is Outcome.FAILED and not (result.observed and result.wanted))
    ]


def criteria(exercise: Exercise) -> list[Criterion]:
    """All but the race, which compares answers as the contract does."""
    return [criterion for criterion in exercise.rubric if criterion.kind is not Kind.SPEED]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("exercise", EXERCISES, ids=MODULES)
def test_whatever_an_app_answers_can_be_judged(exercise: Exercise, judge: Checker) -> None:
    draw = random.Random(exercise.slug)
    problems = []
    for criterion in criteria(exercise):
        for name in draw.sample(sorted(DISTORTIONS), TRIED):
            right_first = draw.choice([0, 0, 1, 3, 10])
            answer = odd_answer(exercise, DISTORTIONS[name], right_first)
            one = replace(exercise, rubric=(criterion,))
            card = judge.check(
                one, answer, values=exercise.reference_values, first_failure_only=True
            )
            problems += refused(card, f"'{name}' after {right_first}")
    assert problems == []


ODD_VALUES: list[Any] = [None, [], {}, "text", HUGE, -1, float("nan"), [None], {"{a}": [HUGE]}]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "exercise", [each for each in EXERCISES if each.values], ids=lambda each: each.slug
)
def test_whatever_is_handed_in_beside_the_app_can_be_judged(
    exercise: Exercise, judge: Checker
) -> None:
    draw = random.Random(exercise.slug)
    problems = []
    for name in exercise.values:
        right = exercise.reference_values[name]
        odd = [*ODD_VALUES]
        if isinstance(right, dict):
            odd += [
                {**right, each: value} for each in list(right)[:2] for value in (None, [], HUGE)
            ]
        for value in draw.sample(odd, TRIED_VALUES):
            one = replace(exercise, rubric=tuple(criteria(exercise)))
            values = {**exercise.reference_values, name: value}
            card = judge.check(one, exercise.reference, values=values, first_failure_only=True)
            problems += refused(card, f"{name}={value!r:.60}")
    assert problems == []
