"""Proofs of many exercises at once, one on each core, in processes that end with this one."""

import atexit
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import course_app.exercises
from course_app.grading.engine import Checker
from course_app.grading.proofs import Proof, prove
from course_app.learn import load_exercise
from course_app.services import start_services
from course_app.system import cores

#: An examination's apps, load generator and servers take turns, so each has about a core.
_MOST_AT_ONCE = 4


@dataclass(frozen=True)
class Task:
    """A proof that is wanted, named as :func:`course_app.grading.proofs.names` does.

    ``blank`` and ``solution`` are notebooks.
    """

    exercise: str
    name: str
    blank: Path | None = None
    solution: Path | None = None


def prove_all(tasks: Sequence[Task]) -> Iterator[tuple[Task, Proof]]:
    """Yield each task with its proof, in the order in which they end.

    Beside others a speed may not be told, or too late: what did not hold comes last, after a check
    that had all cores.
    """
    at_once = max(1, min(_MOST_AT_ONCE, int(cores.core_budget()), len(tasks)))
    folders = list(course_app.exercises.__path__)
    with ProcessPoolExecutor(at_once, get_context("spawn"), _begin, (folders,)) as pool:
        try:
            begun = {pool.submit(_prove, task): task for task in tasks}
            again = []
            for future in as_completed(begun):
                proof = future.result()
                if proof.held or at_once == 1:
                    yield begun[future], proof
                else:
                    again.append(begun[future])
            for task in again:
                yield task, pool.submit(_prove, task).result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_checkers: list[Checker] = []


def _begin(folders: list[str]) -> None:
    """Once in each process: a checker with services of its own, which end when it does.

    ``folders`` are where this process looks for exercises.
    """
    course_app.exercises.__path__ = folders
    # Ctrl-C reaches all processes of a terminal: who began this one tells it when to end.
    signal.signal(signal.SIGINT, lambda *_: None)
    stack = ExitStack()
    atexit.register(stack.close)
    services = cache(lambda: stack.enter_context(start_services(dataset=False)))
    _checkers.append(stack.enter_context(Checker(services, isolated=True)))


def _prove(task: Task) -> Proof:
    exercise = load_exercise(task.exercise)
    return prove(_checkers[0], exercise, task.name, task.blank, task.solution)
