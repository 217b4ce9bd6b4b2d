"""Proofs of many exercises at once, one on each core, in processes that end with this one."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import course_app.exercises
from course_app.errors import CourseError
from course_app.grading.engine import Checker
from course_app.grading.proofs import Proof, prove
from course_app.learn import load_exercise
from course_app.services import own_servers, start_services
from course_app.system import cores
from course_app.system.signals import leave_when_told

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

    Beside others a speed may not be told, or an answer come too late: what did not hold is proved
    again at the end, one after another, and yielded again.

    Raises:
        CourseError: a process that proves has ended.
    """
    # Servers that were there before count what all of us do.
    most = 1 if any(own_servers()) else min(_MOST_AT_ONCE, int(cores.core_budget()), len(tasks))
    folders = list(course_app.exercises.__path__)
    with ProcessPoolExecutor(max(1, most), get_context("spawn"), _begin, (folders,)) as pool:
        try:
            # Ctrl-C waits until they are ready for it: see `_begin`.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            begun = {pool.submit(_prove, task): task for task in tasks}
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            again = []
            for future in as_completed(begun):
                task, proof = begun[future], future.result()
                yield task, proof
                if most > 1 and not proof.held:
                    again.append(task)
            for task in again:
                yield task, pool.submit(_prove, task).result()
        except BaseException as error:
            # Checks that are under way end now, and clean up.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise CourseError("A process that proves has ended. Prove once more.") from error
            raise


_checkers: list[Checker] = []
_told_to_end = threading.Event()


def _begin(folders: list[str]) -> None:
    """Once in each process: a checker with services of its own, which end when it does.

    ``folders`` are where it looks for exercises.
    """
    # Ctrl-C reaches all processes of a terminal: the owner ends this one.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    leave_when_told(1, first=_told_to_end.set)
    threading.Thread(target=_end_with_owner, daemon=True).start()
    course_app.exercises.__path__ = folders
    stack = ExitStack()
    atexit.register(stack.close)
    services = cache(lambda: stack.enter_context(start_services(dataset=False)))
    _checkers.append(stack.enter_context(Checker(services, isolated=True)))


def _end_with_owner() -> None:
    """Whatever ended it, kill -9 included: the pool alone would wait for its next task."""
    owner = parent_process()
    if owner is not None:
        owner.join()
        os._exit(1)


def _prove(task: Task) -> Proof:
    if _told_to_end.is_set():  # this one was handed over before the owner ended the others
        sys.exit(1)
    exercise = load_exercise(task.exercise)
    return prove(_checkers[0], exercise, task.name, task.blank, task.solution)
