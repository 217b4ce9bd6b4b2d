"""What a submission's notebook finds in place of the lab while it is graded.

A learner's notebook measures, plots and checks itself. While it is graded only its
definitions matter, so all of that does nothing, at once.
"""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import course_app


class Inert:
    """Takes every call, attribute and item, and gives back itself."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None: ...

    def __call__(self, *_arguments: Any, **_options: Any) -> "Inert":
        return self

    def __getattr__(self, name: str) -> "Inert":
        if name.startswith("__"):  # copying and displaying ask for these to learn what it can do
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "Inert":
        return self

    def __iter__(self) -> Iterator["Inert"]:
        return iter(())

    def __enter__(self) -> "Inert":
        return self

    def __exit__(self, *_details: object) -> None: ...

    def __format__(self, _specification: str) -> str:
        return ""

    def __float__(self) -> float:
        return 0.0


class InertLab(Inert):
    """A lab that knows its services and does nothing else."""

    _given: Mapping[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        given = type(self)._given
        return given[name] if name in given else super().__getattr__(name)


class _InertModule(ModuleType):
    """Has every name: those of workloads are the real ones, because apps may be made of them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module("course_app.load"), name, Inert())


def silence_the_lab(given: Mapping[str, Any]) -> None:
    """Put inert modules in the place of ``course_app.lab`` and ``course_app.learn``.

    Args:
        given: what ``Lab()`` has as attributes: addresses of services, numbers of rows.
    """
    InertLab._given = dict(given)
    for name in ("lab", "learn"):
        module = _InertModule(f"course_app.{name}")
        sys.modules[module.__name__] = module
        setattr(course_app, name, module)
    door = Inert()
    for name in ("check", "hint", "solution", "progress", "reset"):
        setattr(sys.modules["course_app.learn"], name, door)
        setattr(course_app, name, door)
    for place in (course_app, sys.modules["course_app.lab"]):
        setattr(place, "Lab", InertLab)  # noqa: B010  a module has no such attribute by type
