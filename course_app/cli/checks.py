"""The single checks of ``course doctor``: each finds one fact and says what to do about it."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from course_app.errors import CourseError

#: The server and the load generator need a core each, or they measure one another.
_ENOUGH_CORES = 2
#: A lab uses about 0.3 GiB, JupyterLab and a browser tab about 1 GiB more.
_ENOUGH_MEMORY_GIB = 1.0
#: A generator above this share of a core may itself be what limits a measurement.
_BUSY_GENERATOR = 0.9

_GIB = 2**30


@dataclass(frozen=True)
class Check:
    """What was found. ``state`` is ``ok``, ``note`` (it works, less well) or ``problem``."""

    name: str
    state: str
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """All fields."""
        return asdict(self)


def all_checks() -> list[tuple[str, Callable[[], Check]]]:
    """Each check's name and function, the quick ones first."""
    checks = {
        "Python": python,
        "Packages": packages,
        "Place": place,
        "Cores": cores,
        "Memory": memory,
        "Servers": servers,
        "Settings": settings,
        "Services": services,
        "Load generator": generator,
        "Noise": noise,
    }
    return list(checks.items())


def perform(name: str, check: Callable[[], Check]) -> Check:
    """The check's result; a problem if it cannot even be made."""
    try:
        return check()
    except CourseError as error:
        return Check(name, "problem", "does not work", str(error))
    except Exception as error:  # an installation can be broken in ways that nobody foresaw
        advice = "Set the environment up anew: `make -B setup`."
        return Check(name, "problem", f"{type(error).__name__}: {error}", advice)


def python() -> Check:
    """The interpreter and the operating system."""
    from course_app.system import platforms

    found = f"{platform.python_version()} on {platforms.name()}"
    try:
        platforms.require_posix()
    except platforms.UnsupportedPlatform as error:
        return Check("Python", "problem", found, str(error))
    return Check("Python", "ok", found)


def packages() -> Check:
    """Installed versions against the pinned ones."""
    from course_app.authoring.contents import find_course

    main = ", ".join(f"{x} {importlib.metadata.version(x)}" for x in ("fastapi", "uvicorn"))
    root = find_course().root
    # The second holds the first, and what only instructors and the tests need.
    pins = _pins(root / "requirements.txt") | _pins(root / "requirements-test.txt")
    if not pins:
        advice = (
            f"Whether the course was tested with these is not known: {root} has no pinned "
            "versions. Copy requirements.txt and requirements-test.txt from the course's folder."
        )
        return Check("Packages", "note", f"{main}; not compared", advice)
    wrong = [
        f"{name} {have} instead of {want}"
        for name, want in pins.items()
        if (have := _installed(name)) not in (want, None)
    ]
    if not wrong:
        return Check("Packages", "ok", f"{main}; as pinned")
    some = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return Check("Packages", "note", some, "Install the tested versions: `make -B setup`.")


def place() -> Check:
    """What kind of machine this is, and what measures well on it."""
    from course_app.system.place import find_place

    here = find_place(os.environ, Path("/"))
    return Check("Place", "ok" if here.measures_well else "note", here.name, here.expect)


def cores() -> Check:
    """Cores that may be busy all the time, by affinity, a container's quota or COURSE_CORES."""
    from course_app.system.cores import core_budget, why

    budget = core_budget()
    found = f"{budget:.3g} usable{why()}"
    if budget >= _ENOUGH_CORES:
        return Check("Cores", "ok", found)
    advice = (
        "Server, load generator and database share less than two cores: expect wide intervals "
        "and many a `cannot tell`. Give the machine or container two cores or more."
    )
    return Check("Cores", "note", found, advice)


def memory() -> Check:
    """Memory that is free, also within a container's limit."""
    from course_app.system.memory import memory

    found = memory()
    free = found.free / _GIB
    text = f"{free:.1f} GiB free of {found.total / _GIB:.1f} GiB"
    if free >= _ENOUGH_MEMORY_GIB:
        return Check("Memory", "ok", text)
    advice = (
        "Close other programs or other notebooks' kernels: each lab takes about 0.3 GiB, "
        "JupyterLab and its browser tab about 1 GiB more."
    )
    return Check("Memory", "problem", text, advice)


def servers() -> Check:
    """What PostgreSQL and Valkey need: programs, an account, room on the disk."""
    from course_app.services.doctor import describe

    findings = describe()
    found = "; ".join(f"{finding.title}: {finding.detail}" for finding in findings)
    missing = [finding for finding in findings if not finding.ok]
    advice = " ".join(finding.advice for finding in missing)
    return Check("Servers", "problem" if missing else "ok", found, advice)


def settings() -> Check:
    """Environment variables that change what the course does."""
    known = (
        "COURSE_POSTGRES_DSN",
        "COURSE_REDIS_URL",
        "COURSE_MONGODB_URL",
        "COURSE_PACE",
        "COURSE_CORES",
    )
    given = [name for name in known if os.environ.get(name)]
    if os.environ.get("COURSE_PACE") == "quick":
        advice = "COURSE_PACE=quick shortens measurements: unset it for narrow intervals."
        return Check("Settings", "note", ", ".join(given), advice)
    return Check("Settings", "ok", ", ".join(given) or "none given")


def services() -> Check:
    """Start PostgreSQL and Valkey, and stop them again."""
    from course_app.services import start_services

    with start_services() as started:
        how = "embedded" if started.embedded else "your own servers"
        found = (
            f"PostgreSQL {started.postgres_version}, Valkey {started.valkey_version} "
            f"({how}) ready in {started.ready_seconds:.1f} s"
        )
    return Check("Services", "ok", found)


def generator() -> Check:
    """How fast the smallest app answers, and how busy that keeps the load generator."""
    from course_app.apps.hello import app
    from course_app.load import Generator
    from course_app.serving import ThreadServer

    with ThreadServer(app) as server, Generator() as load:
        target = load.connect(server.url, "/hello", concurrency=16)
        result = load.closed(target, seconds=1.0, warmup_seconds=0.2)
    found = (
        f"the smallest app answers {result.throughput:,.0f} requests/s, which takes the "
        f"generator {result.generator_busy:.0%} of a core"
    )
    if result.error_count:
        return Check("Load generator", "problem", found, f"Answers were wrong: {result.errors[0]}")
    if result.generator_busy < _BUSY_GENERATOR:
        return Check("Load generator", "ok", found)
    advice = "It may limit what it measures: stop other programs, or read ratios only."
    return Check("Load generator", "note", found, advice)


def noise() -> Check:
    """How much of the machine others use now."""
    from course_app.measure.noise import measure_noise

    report = measure_noise(1.0)
    found = f"{report.badge}: {report.others}"
    if report.badge == "calm":
        return Check("Noise", "ok", found)
    if report.others_cores is None:
        return Check(
            "Noise", "note", found, "Intervals are as honest as ever, only wider at times."
        )
    advice = "Close browsers' tabs, other kernels and builds; measure when the machine is calm."
    return Check("Noise", "note", found, advice)


def _pins(requirements: Path) -> dict[str, str]:
    """``name==version`` lines that hold on every platform."""
    if not requirements.is_file():
        return {}
    lines = requirements.read_text(encoding="utf-8").splitlines()
    found = (re.fullmatch(r"([\w.-]+)==([\w.+!-]+)", line.strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
