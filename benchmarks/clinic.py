"""Does `course examine` name the right cause? Patients, cured twins, healthy ones (20 min)."""

import importlib.util
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import BenchResult
from course_app.errors import CourseError
from course_app.examine.engine import examine_now
from course_app.examine.findings import Finding, Report
from course_app.examine.target import CannotExamine, parse_target
from course_app.examine.traffic import declared
from course_app.services import start_services

PATIENTS = Path(__file__).resolve().parents[1] / "tests" / "clinic"
#: What the house promises: the right cause first, confirmed, with its place, but for one.
MOST_MISSED = 1
MOST_SECONDS = 60
_FEW = 10
#: Two medians of short windows differ by so much without a reason.
_NOISE = 1.2
HEALTHY = "healthy"


@dataclass(frozen=True)
class Diagnosis:
    """One app's examination against the answer.

    Attributes:
        patient: the file's name, without its end.
        cause: the right one, or ``healthy``.
        first: the first confirmed cause that was named; empty for none.
        others: further confirmed causes.
        suspected: causes that only one look speaks for.
        place: whether the first finding names the function in the answer.
        cured: whether this is the cured twin.
        failed: why it could not be examined; empty if it was.
        route: the first finding's first one; empty where that costs no time, or there is none.
        at_most: how many times as fast it says that the route gets at most (the upper limit);
            ``bound`` is that with its interval, in words.
        p50_ms: by route and number of clients.
        said: the first finding's evidence, for whoever asks why.
    """

    patient: str
    cause: str
    first: str
    others: tuple[str, ...]
    suspected: tuple[str, ...]
    place: bool
    cured: bool
    seconds: float
    failed: str = ""
    route: str = ""
    at_most: float = math.inf
    bound: str = ""
    p50_ms: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    said: str = ""

    def gains(self, cured: "Diagnosis") -> list[float]:
        """How many times as fast the twin answers the route with a bound, by clients."""
        mine, theirs = (each.p50_ms.get(self.route, {}) for each in (self, cured))
        pairs = [(mine[n], theirs[n]) for n in mine.keys() & theirs.keys()]
        return [sick / well for sick, well in pairs if sick and well]

    @property
    def right(self) -> bool:
        """As it should be: the cause first, or (healthy and cured ones) that cause not at all."""
        if self.failed:
            return False
        if self.cause == HEALTHY:
            return not self.first
        if self.cured:
            return self.cause not in (self.first, *self.others)
        return self.first == self.cause and self.place


def run(patients: Sequence[str] = ()) -> BenchResult:
    """Examine all patients and their twins.

    Args:
        patients: the beginnings of file names; all by default.

    Raises:
        CourseError: the patients are not here (they come with the repository), or none has a
            name that begins so.
    """
    answers = _answers()
    for beginning in patients:
        if not any(name.startswith(beginning) for name in answers):
            raise CourseError(f"There is no patient {beginning!r}. Known: {', '.join(answers)}.")
    wanted = [n for n in sorted(answers) if not patients or n.startswith(tuple(patients))]
    found = []
    with start_services() as services:
        given = {"postgres_dsn": services.postgres_dsn, "valkey_url": services.valkey_url}
        for name in wanted:
            found += [examined(name, answers[name], given, cured=c) for c in (False, True)]
    return _result(found)


def answer_of(name: str) -> dict[str, Any]:
    """What is wrong with a patient, and where.

    Raises:
        CourseError: the patients are not here (they come with the repository).
    """
    answer: dict[str, Any] = _answers()[name]
    return answer


def _answers() -> dict[str, Any]:
    if not (PATIENTS / "answers.json").is_file():
        raise CourseError("The patients are part of the repository: run this in a clone of it.")
    found: dict[str, Any] = json.loads((PATIENTS / "answers.json").read_text(encoding="utf-8"))
    return found


def examined(
    name: str, answer: Mapping[str, Any], services: Mapping[str, str], *, cured: bool = False
) -> Diagnosis:
    """One patient, or its cured twin, examined and compared with the answer."""
    file = PATIENTS / f"{name}.py"
    module = _imported(file)
    routes = getattr(module, "CURED_ROUTES", module.ROUTES) if cured else module.ROUTES
    target = parse_target(f"{file}:{'create_cured' if cured else 'create_app'}")
    began = time.monotonic()
    try:
        report = examine_now(target, declared(routes, {}).requests, services=services)
    except CannotExamine as error:
        return Diagnosis(
            name, answer["cause"], "", (), (), False, cured, time.monotonic() - began, str(error)
        )
    return _diagnosis(name, answer, report, cured, time.monotonic() - began)


def _diagnosis(
    name: str, answer: Mapping[str, Any], report: Report, cured: bool, seconds: float
) -> Diagnosis:
    confirmed = [finding.cause.value for finding in report.confirmed]
    suspected = [finding.cause.value for finding in report.findings if not finding.confirmed]
    timed = next((f for f in report.confirmed[:1] if f.gain), None)
    return Diagnosis(
        patient=name,
        cause=answer["cause"],
        first=confirmed[0] if confirmed else "",
        others=tuple(confirmed[1:]),
        suspected=tuple(suspected),
        place=bool(report.confirmed) and _same_place(report.confirmed[0], answer["where"]),
        cured=cured,
        seconds=seconds,
        route=timed.routes[0] if timed else "",
        at_most=timed.at_most.high if timed else math.inf,
        bound=str(timed.at_most.interval.times) if timed else "",
        p50_ms={route.route: route.p50_ms for route in report.routes},
        said=" ".join(each.says for finding in report.findings[:1] for each in finding.evidence),
    )


def _same_place(finding: Finding, where: str) -> bool:
    """The function or the line that the answer names."""
    if finding.where is None:
        return False
    line = re.search(r"\.py:(\d+)", where)
    if line and finding.where.line == int(line[1]):
        return True
    functions = set(re.findall(r"\w+", where.split("(")[0]))
    return finding.where.function.split(".")[-1] in functions


def _imported(file: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"patient_{file.stem}", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _result(found: Sequence[Diagnosis]) -> BenchResult:
    sick = [d for d in found if d.cause != HEALTHY and not d.cured]
    cured = [d for d in found if d.cause != HEALTHY and d.cured]
    healthy = [d for d in found if d.cause == HEALTHY]
    failed = [d for d in found if d.failed]
    hits = sum(d.right for d in sick)
    may_miss = MOST_MISSED * (len(sick) > _FEW)  # of a few that were picked by name none
    alarms = [d for d in healthy if d.first]
    still = [d for d in cured if not d.right]
    mistaken = [d for d in sick if d.first and d.first != d.cause]
    most = max((d.seconds for d in found), default=0.0)
    twins = {d.patient: d for d in cured}
    # A bound was found with one number of clients or another: it has to hold with one of them.
    compared = {
        d.patient: (d.at_most, min(gains))
        for d in sick
        if d.patient in twins and (gains := d.gains(twins[d.patient]))
    }
    passed = {
        patient: f"{bound:.1f} < {gain:.1f}"
        for patient, (bound, gain) in compared.items()
        if gain > _NOISE * bound
    }
    named = ", ".join(f"{name} {by}" for name, by in passed.items())
    return BenchResult(
        title=f"The clinic: {len(sick)} patients, their twins, {len(healthy)} healthy apps",
        columns=(
            *("patient", "cause", "first confirmed", "further", "suspected", "at most", "twin"),
            *("place", "right"),
        ),
        rows=[_row(each, twins.get(each.patient)) for each in found],
        requirements={
            f"every app could be examined: {len(failed)} could not": bool(found) and not failed,
            f"the right cause first, confirmed, with its place, in all but {may_miss}: "
            f"{hits} of {len(sick)}": hits >= len(sick) - may_miss,
            f"no confirmed finding on healthy apps: {len(alarms)}": not alarms,
            f"no cured twin keeps its cause: {len(still)} do": not still,
            # Nothing is known of bounds where no patient and its twin could be compared.
            f"no twin is faster than the bound that was given: {named or 'none is'}": (
                not passed if compared else None
            ),
            f"each within {MOST_SECONDS} s: the longest took {most:.0f} s": most <= MOST_SECONDS,
        },
        figures={
            "sensitivity": hits / max(1, len(sick)),
            "false_alarms": [d.patient for d in alarms],
            "mistaken": {d.patient: d.first for d in mistaken},
            "missed": [d.patient for d in sick if not d.first],
            "bounds_passed": passed,
            "still_sick": [d.patient for d in still],
            "seconds": {f"{d.patient}{' cured' * d.cured}": d.seconds for d in found},
            "failed": {f"{d.patient}{' cured' * d.cured}": d.failed for d in failed},
            "why": {f"{d.patient}{' cured' * d.cured}": d.said for d in found if not d.right},
        },
    )


def _row(each: Diagnosis, twin: Diagnosis | None) -> tuple[str, ...]:
    gains = [] if twin is None or each.cured else each.gains(twin)
    return (
        each.patient + (" (cured)" if each.cured else ""),
        each.cause,
        "could not be examined" if each.failed else each.first or "-",
        ", ".join(each.others) or "-",
        ", ".join(each.suspected) or "-",
        each.bound or "-",
        " ".join(f"{gain:.3g}" for gain in gains) or "-",
        "yes" if each.place else "-",
        "yes" if each.right else "NO",
    )
