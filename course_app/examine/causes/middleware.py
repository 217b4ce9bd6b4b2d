"""What layers around the app cost, measured by leaving them out."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np

from course_app.examine.chart import WORTH, Asked, Chart, finding, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Place, of_ticks, without
from course_app.measure.statistics import Interval, mean_interval

_LEAST_SHARE = 0.3
_UNDISTURBED = 0.1


def middleware_overhead(chart: Chart) -> list[Finding]:
    """A request takes much less without the layers, and the loop's stacks are full of them."""
    found = [each for asked in chart.by_alone if (each := _of(chart, asked)) is not None]
    if len(found) < 2:
        return found
    # The layers are the same for all routes: one finding, for the route that suffers most.
    best = max(found, key=lambda f: f.at_most.estimate)
    routes = dict.fromkeys([best.route, *(f.route for f in found)])
    return [best.model_copy(update={"route": ", ".join(routes)})]


def _of(chart: Chart, asked: Asked) -> Finding | None:
    cpu = asked.layers.get("cpu_us", {})
    if len(cpu.get("whole", ())) < 8 or "bare" not in cpu or asked.alone is None:
        return None
    whole, bare = np.array(cpu["whole"]), np.array(cpu["bare"])
    saved = mean_interval(whole - bare)
    # Neighbours lengthen the time but not the CPU: the undisturbed requests are compared.
    # Layers still tidy up when the client has its answer: what it waited for is what counts.
    undisturbed = float(np.quantile(chart.latencies(asked.alone, asked), _UNDISTURBED))
    usual = max(1e6 * undisturbed, float(np.median(whole)))
    part = _share(saved, usual, 1.0)
    if part.estimate < _LEAST_SHARE or without(part).low < WORTH:
        return None
    layers = asked.layers["layers"]
    costs = {
        number: float(np.median(whole - np.array(cpu[f"without {number}"])))
        for number in range(len(layers))
        if f"without {number}" in cpu
    }
    number = max(costs, key=lambda n: costs[n]) if costs else 0
    dearest = _place(layers[number])
    names = ", ".join(layer["name"] for layer in reversed(layers))
    evidence = [
        Evidence(
            look="the same request without its layers",
            says=f"{len(layers)} layers ({names}) cost {saved.estimate:.0f} µs of CPU for each "
            f"request, {percent(part)} of the time that its client waits.",
            value=part,
        )
    ]
    seen = _in_stacks(chart, layers)
    if seen is not None:
        evidence.append(
            Evidence(
                look="stacks of the loop's thread",
                says=f"Under load {percent(seen)} of the loop's work passes in the layers.",
                value=seen,
                agrees=seen.estimate >= 0.25,
            )
        )
    # What the server and the database take besides makes the gain smaller, never larger.
    of_the_app = _share(saved, float(np.median(whole)), 0.99)
    return finding(Cause.MIDDLEWARE_OVERHEAD, asked.name, dearest, evidence, without(of_the_app))


def _share(saved: Interval, whole: float, most: float) -> Bound:
    low, middle, high = (
        max(0.0, min(most, each / whole)) for each in (saved.low, saved.estimate, saved.high)
    )
    return Bound(estimate=middle, low=low, high=high)


def _place(layer: dict[str, Any]) -> Place | None:
    if not layer["file"]:
        return None
    line = layer["line"]
    return Place(layer["file"], line, layer["function"], line, f"middleware {layer['name']}")


def _in_stacks(chart: Chart, layers: list[dict[str, object]]) -> Bound | None:
    look = chart.largest
    if look is None:
        return None
    ran = look.ran("busy")
    total = sum(each.amount for each in ran)
    files = {(layer["file"], layer["function"]) for layer in layers}
    own = {name for _, name in files}
    inside = sum(
        each.amount
        for each in ran
        if each.kind == "middleware"
        or (
            each.inner is not None
            and each.kind == "user"
            and any(each.inner.function.split(".")[-1] == name for name in own)
            and any(PurePath(each.inner.file) == PurePath(str(file)) for file, _ in files)
        )
    )
    if total < 50:
        return None
    return of_ticks(inside / total, total, look)
