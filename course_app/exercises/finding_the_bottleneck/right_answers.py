"""Our own answer, told in another way, or with users of another kind."""

from course_app.exercises.finding_the_bottleneck.reference import (
    FINDING,
    LOCUSTFILE,
    SEED,
    create_app,
)
from course_app.grading import RightAnswer

_VALUES = {"seed": SEED, "locustfile": LOCUSTFILE, "finding": FINDING}
_AS_LOCUST_HAS_IT = {**FINDING, "endpoint": "GET /tags/[id]"}
_SELDOM = LOCUSTFILE.replace("constant_throughput(5)", "constant_throughput(0.2)")

RIGHT_ANSWERS = (
    RightAnswer("a method and a path", create_app, {**_VALUES, "finding": _AS_LOCUST_HAS_IT}),
    RightAnswer("users who wait for seconds", create_app, {**_VALUES, "locustfile": _SELDOM}),
)
