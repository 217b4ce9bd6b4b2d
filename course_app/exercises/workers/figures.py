"""What the check measures itself, and what it makes of the figures in a plan."""

from collections.abc import Mapping
from statistics import median

import numpy as np

from course_app.exercises.workers.deployment import cpu_per_request, send, uvicorn
from course_app.exercises.workers.plan import FEWEST_WINDOWS, Choice, Plan
from course_app.grading import Exam
from course_app.measure.statistics import Interval, speedup_interval
from course_app.serving import ProcessServer

_ROUNDS = 6
_CLIENTS = 8


def cpu_costs(exam: Exam, servers: Mapping[str, ProcessServer], plan: Plan) -> dict[str, Interval]:
    """CPU of a request that does nothing, as a multiple of what uvicorn needs for it."""
    everyone = {"": uvicorn(exam, 1, plan), **servers}
    seconds: dict[str, list[float]] = {name: [] for name in everyone}
    for number in range(_ROUNDS):
        for name in list(everyone)[:: -1 if number % 2 else 1]:
            seconds[name].append(cpu_per_request(exam, everyone[name], "/hello", _CLIENTS))
    logs = {name: np.log(values) for name, values in seconds.items()}
    return {name: speedup_interval(logs[name] - logs[""]) for name in servers}


def own_gain(exam: Exam, service: str, plan: Plan) -> Interval:
    """What a second worker of uvicorn gives a service here; lowest and highest window."""
    one, two = uvicorn(exam, 1, plan), uvicorn(exam, 2, plan)
    rates: dict[ProcessServer, list[float]] = {one: [], two: []}
    for server in (one, two, two, one):
        rates[server].append(send(exam, server, service).throughput)
    few, many = rates[one], rates[two]
    limits = min(many) / max(few), max(many) / min(few)
    return Interval(median(many) / median(few), *limits, confidence=2 / 3)


def reported_gain(choice: Choice) -> float | None:
    """What more workers gave in the plan's figures; None where they do not say."""
    windows = {n: w for n, w in choice.measured.items() if len(w) >= FEWEST_WINDOWS}
    more = choice.workers if choice.workers > 1 else max(windows, default=1)
    if 1 not in windows or more not in windows or more == 1:
        return None
    return median(windows[more]) / median(windows[1])
