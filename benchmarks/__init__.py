"""The project's own benchmarks: every module of this folder is one.

A bench is a module with a function ``run() -> BenchResult``. The first line of its docstring
is what ``course bench --list`` says about it; its file name is its name on the command line.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.load import LoadResult


@dataclass(frozen=True)
class BenchResult:
    """A table for people, figures for programs, and what was required.

    Attributes:
        rows: cells as text, each as long as ``columns``.
        requirements: a sentence each, with True (it held), False (it did not: the bench
            fails) or None (this machine could not tell, or a program is missing).
        figures: raw numbers for ``--json``; units are part of the keys.
        notes: shown below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    requirements: Mapping[str, bool | None] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """A requirement did not hold."""
        return any(held is False for held in self.requirements.values())

    def to_dict(self) -> dict[str, Any]:
        """All of it, as values that JSON can hold."""
        return asdict(self)


def never(wrong: int, *, decided: int) -> bool | None:
    """What "never wrong" is worth: None where nothing was decided, for that never errs."""
    return False if wrong else True if decided else None


def answered(load: "LoadResult") -> "LoadResult":
    """A window that can be compared.

    Raises:
        CourseError: no request of it was answered rightly.
    """
    if not load.completed:
        kinds = ", ".join(load.errors_by_kind) or "no answer came"
        raise CourseError(
            f"No request of a window was answered rightly ({kinds}): see that the server works, "
            "and run the bench again."
        )
    return load


def bench_names() -> list[str]:
    """The names of all benches, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def bench_title(name: str) -> str:
    """The first line of a bench's docstring."""
    return (inspect.getdoc(_module(name)) or name).splitlines()[0]


def run_bench(name: str, **options: Any) -> BenchResult:
    """Run one bench; it may take minutes.

    Args:
        options: what its ``run`` can be asked for.

    Raises:
        CourseError: there is no bench of that name, or it cannot run here.
    """
    result: BenchResult = _module(name).run(**options)
    return result


def _module(name: str) -> ModuleType:
    if name not in bench_names():
        known = ", ".join(bench_names()) or "none yet"
        raise CourseError(f"There is no bench {name!r}. Choose from: {known}.")
    return importlib.import_module(f"{__name__}.{name}")
