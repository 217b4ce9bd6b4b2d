"""What reading tells of a submission before anything of it runs.

A file can be made so that reading it takes for ever or all memory there is. So it is read by a
process of its own, within bounds; what such a file is worth, the process that runs it finds out.
"""

import ast
import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from course_app.grading.blanks import is_blank_code
from course_app.grading.source import NotRunnable, is_readable, plain, read_cells
from course_app.system import limits

_SECONDS = 5.0
_MEMORY_BYTES = 512 * 2**20
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from course_app.grading.reading import main; main(sys.argv[2])"
)
_ROOT = Path(__file__).resolve().parents[2]

#: Where the course keeps its own answers.
_OUR_ANSWERS = ("course_app.exercises", "course_app/exercises", "solutions/", "apps.bookshop")


@dataclass(frozen=True)
class Reading:
    """What a file is, as far as reading tells; nothing is known of one that cannot be read.

    Attributes:
        blank: only blanks bear an answer's name.
        names_our_answers: it imports the course's own answers, or names the files they are in.
        fingerprint: the same for the same code, whatever its comments and spaces; empty if none.
    """

    blank: bool = False
    names_our_answers: bool = False
    fingerprint: str = ""


def read(path: Path) -> Reading:
    """Read a notebook or a Python file, at most for some seconds."""
    if not is_readable(path):
        return Reading()
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_ROOT), str(path.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
        return Reading(**json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return Reading()


def main(path: str) -> None:
    """Read within bounds and print what is found; the process's only work."""
    limits.lower("address space bytes", _MEMORY_BYTES)
    limits.lower("CPU seconds", int(_SECONDS) + 1)
    try:
        trees = [ast.parse(plain(code)) for code in read_cells(Path(path))]
    except (NotRunnable, SyntaxError, ValueError, RecursionError, MemoryError):
        trees = []
    found = _reading(trees) if trees else Reading()
    print(json.dumps(asdict(found)))


def _reading(trees: list[ast.Module]) -> Reading:
    code = "\n".join(ast.dump(tree) for tree in trees)
    return Reading(
        blank=is_blank_code(trees),
        names_our_answers=any(
            _names_our_answers(node) for tree in trees for node in ast.walk(tree)
        ),
        fingerprint=hashlib.sha256(code.encode()).hexdigest(),
    )


def _names_our_answers(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            told = [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), names=names):
            told = [f"{module}.{alias.name}" for alias in names]
        case ast.Constant(value=str(text)):
            told = [text]
        case _:
            return False
    return any(ours in text for ours in _OUR_ANSWERS for text in told)
