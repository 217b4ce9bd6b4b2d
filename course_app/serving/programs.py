"""Command lines of the server programs, set alike: same loop, no access log, long keep-alive."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from course_app.serving.errors import ProgramMissing
from course_app.serving.listener import LOOPBACK

Program = Literal["uvicorn", "gunicorn", "hypercorn", "granian"]

#: As for servers in a thread: the generator keeps its connections between windows.
_KEEP_ALIVE_SECONDS = "300"

#: What must be importable, and what to install for it.
_NEEDS: dict[Program, dict[str, str]] = {
    "uvicorn": {"uvicorn": "uvicorn[standard]"},
    "gunicorn": {"gunicorn": "gunicorn", "uvicorn_worker": "uvicorn-worker"},
    "hypercorn": {"hypercorn": "hypercorn"},
    "granian": {"granian": "granian"},
}


def command(
    program: Program, app: str, *, port: int, workers: int, arguments: Sequence[str] = ()
) -> list[str]:
    """The command that serves ``app`` ("package.module:name") on 127.0.0.1.

    Later options win in all four programs, so ``arguments`` may change any of ours.

    Raises:
        ValueError: the program is not one of :data:`Program`.
        ProgramMissing: it is not installed.
    """
    if program not in get_args(Program):
        known = ", ".join(get_args(Program))
        raise ValueError(f"program is one of {known}; not {program!r}")
    _require(program)
    options = _OPTIONS[program](port, workers)
    return [sys.executable, "-m", program, *options, *arguments, app]


def _require(program: Program) -> None:
    for module, package in _NEEDS[program].items():
        if importlib.util.find_spec(module) is None:
            raise ProgramMissing(
                f'The server program "{program}" is not installed; '
                f'run: {sys.executable} -m pip install "{package}"'
            )


def _uvicorn(port: int, workers: int) -> list[str]:
    return [
        *("--host", LOOPBACK, "--port", str(port), "--workers", str(workers)),
        *("--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "warning"),
        *("--timeout-keep-alive", _KEEP_ALIVE_SECONDS),
    ]


def _gunicorn(port: int, workers: int) -> list[str]:
    return [
        *("--worker-class", "uvicorn_worker.UvicornWorker", "--workers", str(workers)),
        *("--bind", f"{LOOPBACK}:{port}", "--keep-alive", _KEEP_ALIVE_SECONDS),
        *("--log-level", "warning", "--no-control-socket"),
    ]


def _hypercorn(port: int, workers: int) -> list[str]:
    return [
        *("--worker-class", "uvloop", "--workers", str(workers)),
        *("--bind", f"{LOOPBACK}:{port}", "--keep-alive", _KEEP_ALIVE_SECONDS),
        *("--log-level", "WARNING"),
    ]


def _granian(port: int, workers: int) -> list[str]:
    return [
        *("--interface", "asgi", "--loop", "uvloop", "--workers", str(workers)),
        *("--host", LOOPBACK, "--port", str(port)),
        *("--log-level", "warning", "--no-access-log"),
    ]


_OPTIONS: dict[Program, Callable[[int, int], list[str]]] = {
    "uvicorn": _uvicorn,
    "gunicorn": _gunicorn,
    "hypercorn": _hypercorn,
    "granian": _granian,
}
