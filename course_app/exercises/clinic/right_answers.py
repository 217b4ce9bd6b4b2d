"""Right answers that are made in other ways than ours, for seeds that plant all six causes."""

import json
from pathlib import Path

from course_app.apps.patients import patient_of
from course_app.changes import Changes
from course_app.exercises.clinic import reference
from course_app.grading import Changed, RightAnswer

REFERENCE = Path(reference.__file__)
ANSWERS = Path(__file__).parent / "answers"
SEED, FINDINGS = reference.seed, reference.findings
#: Each plants two other causes than the exercise's own seed does.
WAITS_AND_READS, ENCODES_AND_AWAITS = 14, 11


def findings_for(seed: int) -> dict[str, str]:
    """The right findings."""
    return {plant.cause: plant.where[0] for plant in patient_of(seed).plants}


def handed_in(path: Path, changes: Changes = (), seed: int = SEED) -> Changed:
    """A file with an answer, with other lines, handed in for another seed."""
    values = [
        (f"seed = {SEED}", f"seed = {seed}"),
        (f"findings = {json.dumps(FINDINGS)}", f"findings = {json.dumps(findings_for(seed))}"),
    ]
    return Changed(path, [*changes, *values])


_OTHER_WAYS, _THREADS = ANSWERS / "other_ways.py", ANSWERS / "threads.py"

RIGHT_ANSWERS = (
    RightAnswer("other ways", _OTHER_WAYS),
    RightAnswer("in threads", _THREADS),
    RightAnswer("ours, blocked and without index", handed_in(REFERENCE, seed=WAITS_AND_READS)),
    RightAnswer("ours, encoding and awaiting", handed_in(REFERENCE, seed=ENCODES_AND_AWAITS)),
    RightAnswer("other ways, blocked", handed_in(_OTHER_WAYS, seed=WAITS_AND_READS)),
    RightAnswer("other ways, encoding", handed_in(_OTHER_WAYS, seed=ENCODES_AND_AWAITS)),
    RightAnswer("in threads, blocked", handed_in(_THREADS, seed=WAITS_AND_READS)),
    RightAnswer("in threads, encoding", handed_in(_THREADS, seed=ENCODES_AND_AWAITS)),
)
