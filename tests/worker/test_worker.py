"""A worker answers each question once, and whatever ends it is told."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from course_app.worker.owner import Worker, WorkerEnded


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    made = Worker("slow_echo")
    yield made
    made.end()
    assert not psutil.pid_exists(made.pid)


def said(worker: Worker, word: str, seconds: float = 0.0, limit: float | None = None) -> bytes:
    return worker.ask({"word": word, "seconds": seconds}, limit)[1]["said"]


def test_it_answers_with_arrays(worker: Worker) -> None:
    assert said(worker, "one") == b"one"
    assert said(worker, "two" * 100_000) == b"two" * 100_000


def test_the_answer_of_an_interrupted_question_is_not_the_next_one_s(worker: Worker) -> None:
    assert said(worker, "warm") == b"warm"
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        said(worker, "late", seconds=0.4)
    assert said(worker, "next") == b"next"


def test_who_takes_too_long_is_ended(worker: Worker) -> None:
    with pytest.raises(WorkerEnded, match="did not come back within 0 s and was ended"):
        said(worker, "never", seconds=60, limit=0.3)
    worker.end()
    worker.end()


def test_a_worker_s_last_words_are_told(worker: Worker) -> None:
    with pytest.raises(WorkerEnded, match="no more of this"):
        worker.ask({"word": "", "seconds": 0, "fails": True})
