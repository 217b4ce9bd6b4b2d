"""Before speed comes truth: do two apps give the same answers to the same requests?"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from course_app.load import Generator, LoadResult, Response, Workload
from course_app.measure.subject import Subject

#: The first requests of the stream that are compared answer by answer.
COMPARED_ANSWERS = 12
_EXCERPT = 160

Same = bool | Callable[[Response, Response], bool]


@dataclass(frozen=True)
class WrongAnswer:
    """One answer that was not what it should be."""

    variant: str
    request: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.variant}: {self.request}: expected {self.expected}, got {self.got}"

    def to_dict(self) -> dict[str, str]:
        """The example as text."""
        return asdict(self)


def reads_only(workload: Workload) -> bool:
    """Whether the traffic changes nothing, so that two apps must answer it alike."""
    return all(request.method in ("GET", "HEAD") for request in workload.requests)


def errors_of(name: str, load: LoadResult) -> list[WrongAnswer]:
    """The generator's own examples of wrong statuses, missing texts and lost connections."""
    return [WrongAnswer(name, e.request_line, e.expected, e.got) for e in load.errors]


def compare_answers(
    generator: Generator, subjects: Sequence[Subject], same: Same
) -> list[WrongAnswer]:
    """Send each subject the same first requests and compare the answers with the first's.

    JSON is compared by value, anything else byte by byte. ``same`` may be a function of
    two responses; with ``False`` nothing is compared.
    """
    if same is False or len(subjects) < 2:
        return []
    equal = same_answer if same is True else same
    first, *others = (generator.sample(s.target, COMPARED_ANSWERS) for s in subjects)
    wrong = (
        WrongAnswer(subject.name, a.request_text, excerpt(a), excerpt(b))
        for subject, answers in zip(subjects[1:], others, strict=True)
        for a, b in zip(first, answers, strict=False)
        if not equal(a, b)
    )
    return list(islice(wrong, 5))


def same_answer(a: Response, b: Response) -> bool:
    """Equal status and equal body; JSON bodies are equal when their values are."""
    if a.status != b.status:
        return False
    return a.body == b.body or _parsed(a.body) == _parsed(b.body)


def excerpt(response: Response) -> str:
    """Status and the beginning of the body."""
    text = response.body[:_EXCERPT].decode("utf-8", "replace")
    dots = " …" if len(response.body) > _EXCERPT else ""
    return f"{response.status} {text}{dots}"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
