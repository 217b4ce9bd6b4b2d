"""What is examined: an app in a file or a module, found in its own project and loaded as it is."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import operator
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from course_app.errors import CourseError

#: What a file's app may be called where TARGET does not say.
USUAL_NAMES = ("app", "create_app", "application", "make_app", "get_app")
#: A folder that holds one of these is where a project begins.
PROJECT_MARKS = (
    *("pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "poetry.lock", "uv.lock"),
    *("Pipfile", "manage.py", ".git", ".env"),
)
#: A factory that asks for these gets the lab's own PostgreSQL and Valkey.
SERVICES = ("postgres_dsn", "valkey_url")

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SEEN_FRAMES = 3


class CannotExamine(CourseError):
    """What was named cannot be examined; the sentence says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """An app by its place; plain data, so that another process can load it.

    Attributes:
        text: as the user named it.
        module: its dotted name, as the project itself would import it where that is possible.
        file: the file of it; empty where it was named as a module.
        attribute: the app or its factory; empty for the first of ``USUAL_NAMES`` that is there.
        folder: the working directory that the app expects: its project's folder.
        search: what goes before everything else on ``sys.path``, in this order.
    """

    text: str
    module: str
    file: str
    attribute: str
    folder: str
    search: tuple[str, ...]

    def renamed(self, attribute: str) -> Target:
        """The same place, another app in it."""
        place = self.text.rpartition(":")[0] if self.attribute else self.text
        return Target(
            f"{place}:{attribute}", self.module, self.file, attribute, self.folder, self.search
        )


@dataclass(frozen=True)
class Loaded:
    """An app, ready to be served.

    Attributes:
        app: the ASGI app itself.
        module: where it was found; ``ROUTES`` may stand there.
        services: which of the lab's services its factory asked for.
    """

    app: Any
    module: ModuleType
    services: tuple[str, ...]
    attribute: str = ""

    @property
    def routes(self) -> Any:
        """``ROUTES`` beside the app, as they stand there; None without.

        An app that is asked otherwise than others in its file has routes of its own: for
        ``create_cured`` that is ``CURED_ROUTES``.
        """
        own = f"{self.attribute.removeprefix('create_').upper()}_ROUTES"
        return getattr(self.module, own, getattr(self.module, "ROUTES", None))


def parse_target(text: str, here: Path | None = None) -> Target:
    """The place that a text such as ``shop/main.py:create_app`` or ``shop.main:app`` names.

    Nothing of the project is run. Without ``:NAME`` the app is looked for by its usual names.

    Args:
        here: what a relative path counts from; this process's folder by default.

    Raises:
        CannotExamine: there is no such file, or it is no name of a module.
    """
    here = (here or Path.cwd()).resolve()
    place, colon, attribute = text.rpartition(":")
    if not colon:
        place, attribute = text, ""
    if colon and not _DOTTED.fullmatch(attribute):
        raise CannotExamine(
            f"{text!r} names no app: write FILE.py:NAME or package.module:NAME, where NAME is "
            "the app or the function that makes it, such as main.py:app."
        )
    if place.endswith(".py") or os.sep in place:
        return _in_file(text, here, here / place, attribute)
    if not _DOTTED.fullmatch(place):
        raise CannotExamine(
            f"{place!r} is neither a file that ends in .py nor the dotted name of a module. "
            "Examples: main.py:app, shop.main:create_app."
        )
    search = [path for path in (here, here / "src") if path.is_dir()]
    return Target(text, place, "", attribute, str(here), tuple(map(str, search)))


def _in_file(text: str, here: Path, file: Path, attribute: str) -> Target:
    file = file.resolve()
    if file.is_dir():
        raise CannotExamine(
            f"{file} is a folder: name the file in it that holds the app, "
            f"such as {file.name}/main.py:app."
        )
    if not file.is_file():
        raise CannotExamine(
            f"There is no file {file}. A path counts from the folder in which you are; "
            "a module is named with dots and without .py, such as shop.main:app."
        )
    project = _project(file)
    package = _outermost_package(file).parent
    root = package if package != file.parent else _import_root(file, project)
    dotted = ".".join(file.relative_to(root).with_suffix("").parts)
    if not _DOTTED.fullmatch(dotted):  # 01_shop.py, my-app/main.py: no import could name it
        dotted = re.sub(r"\W", "_", f"examined_{file.stem}")
    above = (here,) if file.is_relative_to(here) else ()  # where uvicorn would be started
    search = dict.fromkeys(map(str, (root, file.parent, project, *above)))
    return Target(text, dotted, str(file), attribute, str(project), tuple(search))


def _project(file: Path) -> Path:
    """The nearest folder with a mark of a project, below the user's home; else the file's own."""
    home = Path.home().resolve()
    for folder in file.parents:
        if folder == home or folder == folder.parent:
            break
        if any((folder / mark).exists() for mark in PROJECT_MARKS):
            return folder
    return _outermost_package(file).parent


def _outermost_package(file: Path) -> Path:
    """The file itself, or the topmost folder of the package that it belongs to."""
    found = file
    while (found.parent / "__init__.py").is_file():
        found = found.parent
    return found


def _import_root(file: Path, project: Path) -> Path:
    source = project / "src"
    return source if file.is_relative_to(source) else project


def load(target: Target, services: Mapping[str, str]) -> Loaded:
    """Import the target's module and make its app. Runs the project's code: not in your process.

    Args:
        services: addresses by the names in ``SERVICES``. Only a factory that has such a parameter,
            and no default for it, is given one: who has settings of their own keeps them.

    Raises:
        CannotExamine: it cannot be imported, there is no such app, or making it fails.
    """
    os.chdir(target.folder)
    sys.path[:0] = [path for path in target.search if path not in sys.path[:1]]
    module = _imported(target)
    found = _named(target, module)
    if not _is_factory(found):
        return Loaded(_callable(found, target), module, (), target.attribute)
    asked = _asked(found, target)
    if lacking := [name for name in asked if name not in services]:
        raise CannotExamine(
            f"{target.text} asks for {lacking[0]}, and the lab's servers did not start here: "
            "`course doctor` says why."
        )
    given = {name: services[name] for name in asked}
    app = _made(target, found, given)
    return Loaded(_callable(app, target), module, asked, target.attribute)


def _imported(target: Target) -> ModuleType:
    try:
        if not target.file:
            return importlib.import_module(target.module)
        name = target.module
        if (known := sys.modules.get(name)) is not None:
            if getattr(known, "__file__", None) == target.file:
                return known
            name = f"examined_{name.replace('.', '_')}"
        specification = importlib.util.spec_from_file_location(name, target.file)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        # Before it runs: pydantic looks for the names in annotations there.
        sys.modules[name] = module
        specification.loader.exec_module(module)
        return module
    except ModuleNotFoundError as error:
        raise CannotExamine(_missing(target, error)) from error
    except (Exception, SystemExit) as error:
        raise CannotExamine(
            _failed(target, f"{_short(target)} cannot be imported", error)
        ) from error


def _missing(target: Target, error: ModuleNotFoundError) -> str:
    name = error.name or str(error)
    if target.module == name or target.module.startswith(f"{name}."):
        return (
            f"There is no module {name} in {target.folder}, nor is it installed. Run this in your "
            "project's folder, or name the file: path/to/main.py:app."
        )
    return (
        f"{_short(target)} imports {name}, which is not installed beside the course. Install what "
        f"your project needs into the same environment: {sys.executable} -m pip install {name}"
        f", or -r requirements.txt.{_lines(target, error)}"
    )


def _named(target: Target, module: ModuleType) -> Any:
    wanted = (target.attribute,) if target.attribute else USUAL_NAMES
    for name in wanted:
        try:
            return operator.attrgetter(name)(module)
        except AttributeError:
            continue
    there = sorted(name for name, value in vars(module).items() if _could_be(name, value, module))
    named = f" It has {', '.join(there)}." if there else ""
    short = Path(target.file).name if target.file else target.module
    raise CannotExamine(
        f"{_short(target)} has no {' or '.join(wanted)}.{named} Name the app, or a function that "
        f"makes it, after a colon: {short}:NAME."
    )


def _could_be(name: str, value: Any, module: ModuleType) -> bool:
    made = getattr(type(value), "__name__", "") in ("FastAPI", "Starlette")
    maker = inspect.isfunction(value) and value.__module__ == module.__name__
    return not name.startswith("_") and (made or (maker and "app" in name))


def _is_factory(found: Any) -> bool:
    """A plain function or a class that does not take what ASGI hands over."""
    if inspect.iscoroutinefunction(found) or not (
        inspect.isroutine(found) or inspect.isclass(found)
    ):
        return False
    try:
        names = list(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return True
    return names[:3] != ["scope", "receive", "send"]


def _asked(factory: Callable[..., Any], target: Target) -> tuple[str, ...]:
    needed = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    for parameter in needed:
        if parameter.name not in SERVICES or parameter.kind is parameter.POSITIONAL_ONLY:
            raise CannotExamine(
                f"{target.text} asks for {parameter.name!r}, which nobody here knows: only "
                f"{' and '.join(SERVICES)} are given. Write a function without parameters that "
                "makes the app, and name that one."
            )
    return tuple(parameter.name for parameter in needed)


def _made(target: Target, factory: Callable[..., Any], given: Mapping[str, str]) -> Any:
    try:
        return factory(**given)
    except (Exception, SystemExit) as error:
        raise CannotExamine(_failed(target, f"{target.text} cannot make the app", error)) from error


def _callable(app: Any, target: Target) -> Any:
    if inspect.iscoroutine(app):
        app.close()
    elif callable(app):
        return app
    raise CannotExamine(
        f"{target.text} is no ASGI app but of type {type(app).__name__}: name what FastAPI() "
        "returned, or a plain function that returns it."
    )


def _failed(target: Target, what: str, error: BaseException) -> str:
    if isinstance(error, SystemExit):
        said = f"it ends the process (sys.exit({'' if error.code is None else error.code!r}))"
    else:
        said = f"{type(error).__name__}: {error}".strip().rstrip(".")
    return (
        f"{what}: {said}. Correct that first; `python -c` with the same import shows all of "
        f"it.{_lines(target, error)}"
    )


def _lines(target: Target, error: BaseException) -> str:
    """The last of the project's own lines on the way to an error."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(target.search)]
    own = [frame for frame in own if "site-packages" not in frame.filename][-_SEEN_FRAMES:]
    return "".join(f"\n  {frame.filename}:{frame.lineno}: {frame.line}" for frame in own)


def _short(target: Target) -> str:
    return target.file or target.module
