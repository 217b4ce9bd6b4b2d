"""Load: what is sent (workloads), how (the generator, a process of its own), and the raw result."""

from course_app.load.distributions import Distribution, choice, sequence, text, uniform, zipf
from course_app.load.generator import Generator, Target
from course_app.load.limits import (
    BadWorkload,
    GeneratorEnded,
    LoadError,
    NoAnswer,
    NobodyListens,
    NotLoopback,
    OutOfBounds,
    TimedOut,
)
from course_app.load.result import ErrorExample, LoadResult, Response
from course_app.load.visits import NEVER, Retries, Visits
from course_app.load.workload import (
    Request,
    Workload,
    as_workload,
    delete,
    get,
    head,
    mix,
    patch,
    post,
    put,
    request,
)

__all__ = [
    "NEVER",
    "BadWorkload",
    "Distribution",
    "ErrorExample",
    "Generator",
    "GeneratorEnded",
    "LoadError",
    "LoadResult",
    "NoAnswer",
    "NobodyListens",
    "NotLoopback",
    "OutOfBounds",
    "Request",
    "Response",
    "Retries",
    "Target",
    "TimedOut",
    "Visits",
    "Workload",
    "as_workload",
    "choice",
    "delete",
    "get",
    "head",
    "mix",
    "patch",
    "post",
    "put",
    "request",
    "sequence",
    "text",
    "uniform",
    "zipf",
]
