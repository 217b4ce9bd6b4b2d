"""Before speed comes truth: do two apps give the same answers to the same requests?"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from course_app.load import (
    ErrorExample,
    Generator,
    LoadResult,
    NoAnswer,
    Response,
    TimedOut,
    Workload,
)
from course_app.load.codings import decode, readable
from course_app.measure.subject import Subject, silence

#: The first requests of the stream that are compared answer by answer.
COMPARED_ANSWERS = 12
#: Of what was compressed no more than this is taken out: a few bytes can hold gigabytes.
MOST_DECODED_BYTES = 64 * 1024 * 1024
#: So many different examples are shown.
_MOST_EXAMPLES = 5

Same = bool | Callable[[Response, Response], bool]


@dataclass(frozen=True)
class WrongAnswer:
    """One answer that was not what it should be; ``count`` requests had one like it."""

    variant: str
    request: str
    expected: str
    got: str
    count: int = 1

    def __str__(self) -> str:
        times = f" ({self.count:,} times)" if self.count > 1 else ""
        return f"{self.variant}: {self.request}: expected {self.expected}, got {self.got}{times}"


def reads_only(workload: Workload) -> bool:
    """Whether the traffic changes nothing, so that two apps must answer it alike."""
    return all(request.method in ("GET", "HEAD") for request in workload.requests)


def errors_of(name: str, load: LoadResult) -> list[WrongAnswer]:
    """The generator's own examples of wrong statuses, missing texts and lost connections."""
    return [
        WrongAnswer(name, e.request_line, e.expected, e.got + _advice(e), e.count)
        for e in load.errors
    ]


def together(wrong: Iterable[WrongAnswer]) -> tuple[WrongAnswer, ...]:
    """The first few that differ in more than the request, each with the count of all like it."""
    found: dict[tuple[str, str, str], WrongAnswer] = {}
    for each in wrong:
        key = (each.variant, each.expected, each.got)
        count = each.count + (found[key].count if key in found else 0)
        found[key] = replace(found.get(key, each), count=count)
    return tuple(found.values())[:_MOST_EXAMPLES]


def _advice(error: ErrorExample) -> str:
    """The name of a status that may be just right, and the argument that accepts it."""
    if error.kind != "status" or error.status is None or not (200 <= error.status < 400):
        return ""
    known = error.status in set(HTTPStatus)
    name = f"{HTTPStatus(error.status).phrase}; " if known else ""
    function = error.request_line.partition(" ")[0].lower()
    accepted = f"{function}(path, expect_status={error.status})"
    if error.got.startswith(f"status {error.status}, a redirect"):
        return f" ({name}ask for that address, or with {accepted} if the redirect is meant)"
    return f" ({name}if that is right, ask with {accepted})"


def compare_answers(
    generator: Generator, subjects: Sequence[Subject], same: Same
) -> list[WrongAnswer]:
    """Send each subject the same first requests and compare the answers with the first's.

    JSON is compared by value, anything else byte by byte, both as clients have them that undo a
    Content-Encoding. ``same`` may be a function of two responses; with ``False`` nothing is
    compared.

    Raises:
        AppDoesNotAnswer: a subject gives no answer in time.
    """
    if same is False or len(subjects) < 2:
        return []
    equal = same_content if same is True else same
    samples: list[list[Response]] = []
    for subject in subjects:
        try:
            samples.append(generator.sample(subject.target, COMPARED_ANSWERS))
        except TimedOut as error:
            raise silence(subject.server, str(error).rstrip(".")) from None
        except NoAnswer as error:
            request, _, got = str(error).rstrip(".").partition(": ")
            return [WrongAnswer(subject.name, request, "an answer", got)]
    first, *others = samples
    return [
        WrongAnswer(subject.name, _request_line(a), excerpt(a), excerpt(b))
        for subject, answers in zip(subjects[1:], others, strict=True)
        for a, b in zip(first, answers, strict=False)
        if not equal(a, b)
    ]


def same_answer(a: Response, b: Response) -> bool:
    """Equal status and equal body; JSON bodies are equal when their values are: 1 is 1.0."""
    if a.status != b.status:
        return False
    return a.body == b.body or _alike(_parsed(a.body), _parsed(b.body))


def same_content(a: Response, b: Response) -> bool:
    """As ``same_answer``, of what clients have after decoding, as far as that can be had."""
    try:
        return same_answer(replace(a, body=decoded(a)), replace(b, body=decoded(b)))
    except ValueError:
        alike = a.header("content-encoding") == b.header("content-encoding")
        return alike and same_answer(a, b)


def same_decoded(a: Response, b: Response) -> bool:
    """As ``same_answer``, of what clients have after decoding: for apps that compress."""
    try:
        return same_answer(replace(a, body=decoded(a)), replace(b, body=decoded(b)))
    except ValueError:
        return False


def decoded(response: Response) -> bytes:
    """The body as a client has it that undoes its Content-Encoding.

    Raises:
        ValueError: there is no decoder, or the body is not encoded so, or too large.
    """
    encoding = (response.header("content-encoding") or "identity").strip().lower()
    if encoding == "identity" or not response.body:  # HEAD and 304 have headers only
        return response.body
    return decode(response.body, encoding, MOST_DECODED_BYTES)


def excerpt(response: Response) -> str:
    """Status and the beginning of the body, as text."""
    location = response.header("location")
    if 300 <= response.status < 400 and location is not None:
        return f"{response.status}, a redirect to {location}"
    if not response.body:
        return f"{response.status} without a body"
    return f"{response.status} {readable(response.body, dict(response.headers))}"


def _request_line(response: Response) -> str:
    return response.request_text.partition("\r\n")[0].removesuffix(" HTTP/1.1")


def _alike(a: Any, b: Any) -> bool:
    """Whether two JSON values are equal; in Python true would be 1 as well, and false 0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    return bool(a == b)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
