"""The same requests one after another: whole answers to judge, and counts without any noise."""

from dataclasses import dataclass

from course_app.load import Generator, Response
from course_app.measure.probes import Counts
from course_app.measure.subject import Subject, counting


@dataclass(frozen=True)
class Replay:
    """Answers in the order of their requests, and what each of these caused on average."""

    name: str
    answers: tuple[Response, ...]
    counts: Counts


def replay(generator: Generator, subject: Subject, requests: int) -> Replay:
    """Send the first requests of a subject's traffic, one by one, without a warm-up."""
    with counting(subject) as readings:
        answers = generator.sample(subject.target, requests)
    return Replay(subject.name, tuple(answers), Counts(len(answers), tuple(readings)))
