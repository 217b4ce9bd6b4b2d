"""Is the diagnosis right: two causes, each at its place, and nobody innocent accused?"""

import re

from course_app.apps.patients import Patient, patient_of
from course_app.examine.findings import Cause
from course_app.grading import Evidence, Exam, Failure, mechanism

_FORM = '{"cause": "function", "another cause": "another function"}'


class NoSeed(Failure):
    """The check does not know your seed."""

    hint = "Hand it in: check(..., create_app, seed=seed, findings=findings)."


class NoFindings(Failure):
    """The findings are not two findings yet."""

    hint = (
        "A dictionary with two entries: the name of a cause, and the name of the function in which "
        "it is. There are two causes, no more and no less."
    )


class NotOnTheList(Failure):
    """A finding names a cause that is not on the list."""

    hint = "Take the names as they stand in the text of the exercise, with their underscores."


class FalseTrail(Failure):
    """The findings accuse what only looks guilty."""

    hint = (
        "What everybody says has not been measured by anybody. How long does a request wait for "
        "it? Take it out and compare: if nothing becomes faster, it was not the cause."
    )


class WrongCause(Failure):
    """A finding names a cause that this app does not suffer from."""

    hint = (
        "Look at each route alone with lab.measure: which count per request is out of line "
        "(statements, buffers, connections)? Where none is, look at what a trace waits for, and "
        "at lab.profile. Then with many clients: whose latency grows with their number?"
    )


class WrongPlace(Failure):
    """The causes are right, a place is not."""

    hint = (
        "The name of the function in the patient's source in which requests lose their time: the "
        "handler of the slow route, or a function that it calls or depends on."
    )


@mechanism(points=3)
def names_the_causes(exam: Exam) -> Evidence:
    """The findings name both causes that the seed has planted, and where they are."""
    patient = patient_in(exam)
    found = _findings(exam)
    planted = {plant.cause: plant for plant in patient.plants}
    observed = ", ".join(f"{cause} in {where}" for cause, where in found.items())
    wanted = f"what the seed {exam.values['seed']} has planted"
    right = planted.keys() & found.keys()
    placed = [cause for cause in right if found[cause] in planted[cause].where]
    credit = (len(right) + len(placed)) / (2 * len(planted))
    if patient.trail.where in {found[cause] for cause in found.keys() - right}:
        raise FalseTrail(observed, wanted, credit=credit)
    if len(right) < len(planted):
        raise WrongCause(observed, wanted, credit=credit)
    if len(placed) < len(planted):
        raise WrongPlace(observed, wanted, credit=credit)
    return Evidence(observed, wanted)


def patient_in(exam: Exam) -> Patient:
    """Whom the learner has examined.

    Raises:
        NoSeed: that was not handed in.
    """
    seed = exam.values.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int | str):
        raise NoSeed(f"seed: {seed}", "a number")
    return patient_of(seed)


def _findings(exam: Exam) -> dict[str, str]:
    """Causes, and the name of a function for each (``f()`` and ``f (patient.py:7)`` name it)."""
    handed_in = exam.values.get("findings")
    if not isinstance(handed_in, dict) or len(handed_in) != 2:
        raise NoFindings(f"{handed_in}", _FORM)
    if unknown := handed_in.keys() - set(Cause):
        raise NotOnTheList(", ".join(sorted(unknown)), ", ".join(Cause))
    found = {
        cause: match[0] if isinstance(where, str) and (match := re.match(r"\w+", where)) else ""
        for cause, where in handed_in.items()
    }
    if not all(found.values()):
        raise NoFindings(f"{handed_in}", _FORM)
    return found
