"""Before speed comes truth: do two apps give the same answers to the same requests?"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from course_app.load import Generator, LoadResult, Response, Workload
from course_app.measure.subject import Subject

#: The first requests of the stream that are compared answer by answer.
COMPARED_ANSWERS = 12
_EXCERPT = 160
#: Of what was compressed no more than this is taken out: a few bytes can hold gigabytes.
MOST_DECODED_BYTES = 64 * 1024 * 1024
#: zlib's number for each format; "deflate" is the name of the zlib format in HTTP.
_FORMATS = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}

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


def same_decoded(a: Response, b: Response) -> bool:
    """As ``same_answer``, of what clients have after decoding: for apps that compress."""
    try:
        return same_answer(replace(a, body=decoded(a)), replace(b, body=decoded(b)))
    except ValueError:
        return False


def decoded(response: Response) -> bytes:
    """The body as a client has it that undoes gzip and deflate.

    Raises:
        ValueError: the encoding is another one, or the body is not encoded so, or too large.
    """
    encoding = (response.header("content-encoding") or "identity").strip().lower()
    if encoding == "identity" or not response.body:  # HEAD and 304 have headers only
        return response.body
    if encoding not in _FORMATS:
        raise ValueError(f"a body with Content-Encoding: {encoding}")
    decoder = zlib.decompressobj(_FORMATS[encoding])
    try:
        body = decoder.decompress(response.body, MOST_DECODED_BYTES)
    except zlib.error as error:
        raise ValueError(f"a body that is not {encoding} ({error})") from error
    if not decoder.eof or decoder.unused_data:
        raise ValueError(f"a body with more or less than one whole {encoding} stream")
    return body


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
