"""Runs a rubric on an answer and writes the scorecard. One engine behind both doors."""

import contextlib
import gc
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_app.grading.answers import is_blank
from course_app.grading.candidate import Candidate, TailBuffer, ThreadCandidate
from course_app.grading.evidence import CouldNotCheck
from course_app.grading.exam import Exam, Progress
from course_app.grading.harmless import harmless
from course_app.grading.hosting import HostProcess, get_ready
from course_app.grading.limits import Limits
from course_app.grading.reading import Reading, read
from course_app.grading.remote import ProcessCandidate
from course_app.grading.rubric import Exercise
from course_app.grading.running import Runner, not_attempted
from course_app.grading.scorecard import Scorecard
from course_app.grading.workspace import Workspaces
from course_app.load import Generator
from course_app.measure.noise import NoiseMeter

if TYPE_CHECKING:
    from course_app.services import Services


def silent(_text: str) -> None:
    """Progress that nobody wants to see."""


@dataclass
class Checker:
    """Checks answers against running services; keeps one generator for many checks.

    Args:
        services: gives running services with the data set; asked only if an exercise needs any.
        isolated: serve each app in a process of its own, behind walls, instead of in a thread.
        limits: bounds for each submission.
    """

    services: "Callable[[], Services]"
    isolated: bool = False
    limits: Limits = field(default_factory=Limits)
    generator: Generator = field(default_factory=Generator)

    def __post_init__(self) -> None:
        self._workspaces = Workspaces(self.services)
        if self.isolated:
            get_ready()

    def check(
        self,
        exercise: Exercise,
        answer: object,
        *,
        values: Mapping[str, Any] | None = None,
        seed: int | None = None,
        first_failure_only: bool = False,
        progress: Progress = silent,
    ) -> Scorecard:
        """Check one answer.

        Args:
            answer: an app or a factory of one; where apps are isolated, the path of a notebook or
                Python file, or a function of a module.
            values: what is handed in beside the app; read from the file where there is one.
            seed: draws the same values again; a new one each time if not given.
            first_failure_only: run no criterion after one that failed.
        """
        seed = secrets.randbits(31) if seed is None else seed
        began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        meter = NoiseMeter()
        meter.resume()
        log = TailBuffer()
        notes: tuple[str, ...] = ()
        reading = read(answer) if isinstance(answer, Path) else Reading()
        if is_blank(answer) or reading.blank:
            results = not_attempted(exercise)
        else:
            with self._exam(exercise, answer, values or {}, seed, progress, log) as exam:
                results = Runner(exercise, exam, first_failure_only).run()
                notes = (*_notes(exam, log), *_remarks(reading))
        meter.pause()
        return Scorecard(
            exercise=exercise.slug,
            title=exercise.title,
            results=tuple(results),
            seed=seed,
            started_at=started_at,
            seconds=time.monotonic() - began,
            notes=(str(meter.report()), *notes),
            log=harmless(log.getvalue()),
            fingerprint=reading.fingerprint,
        )

    def close(self) -> None:
        """End the generator."""
        self.generator.close()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _exam(
        self,
        exercise: Exercise,
        answer: object,
        values: Mapping[str, Any],
        seed: int,
        progress: Progress,
        log: TailBuffer,
    ) -> Iterator[Exam]:
        answers = {
            "learner": answer,
            "reference": exercise.reference,
            "baseline": exercise.baseline,
        }
        # Apps end before their databases go.
        with contextlib.ExitStack() as spaces, contextlib.ExitStack() as stack:

            def launch(role: str) -> Candidate:
                answer = answers[role]
                open_space = self._workspaces.open(
                    exercise.needs, valkey_can_go_away=exercise.valkey_can_go_away
                )
                if not self.isolated:
                    space = spaces.enter_context(open_space)
                    return ThreadCandidate(role, space, answer, self.limits, log)
                host = HostProcess(answer, self.limits, ours=role != "learner")
                stack.callback(host.close)
                space = spaces.enter_context(open_space)
                names = tuple(exercise.values) if isinstance(answer, Path) else ()
                return ProcessCandidate(role, space, host, answer, self.limits, names)

            exam = Exam(
                launch,
                self.generator,
                limits=self.limits,
                seed=seed,
                values=plain_values(values),
                progress=progress,
            )
            if not self.isolated:
                stack.enter_context(contextlib.redirect_stdout(log))
                stack.enter_context(contextlib.redirect_stderr(log))
                # What an app left unfinished complains when it is collected: better here than
                # in the learner's next cell.
                stack.callback(gc.collect)
            stack.callback(exam.close)
            yield exam


def _notes(exam: Exam, log: TailBuffer) -> tuple[str, ...]:
    try:
        learner = exam.learner
    except CouldNotCheck:  # it was never started
        return ()
    if not isinstance(learner, ProcessCandidate):
        return ()
    log.write(learner.log_tail())
    walls = learner.walls
    notes = (f"Served in a process of its own ({', '.join(walls.standing) or 'no limits known'}).",)
    if walls.missing:
        return *notes, f"Walls that this system refuses: {', '.join(walls.missing)}."
    return notes


def _remarks(reading: Reading) -> tuple[str, ...]:
    """What an instructor should know, though it costs no point."""
    if not reading.names_our_answers:
        return ()
    return ("Remark: the file names the course's own answers (course_app.exercises, solutions).",)


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON would bring them: no objects whose ``==`` says what one wants to hear."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None
