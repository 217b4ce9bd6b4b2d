"""Where the system does not tell what a server's processes use: no figure, no verdict, no crash."""

import json
from dataclasses import replace

import numpy as np
from plot_examples import comparison, measurement, sweep, variant

from course_app.measure.comparison import Comparison
from course_app.measure.statistics import Verdict
from course_app.measure.sweep import Sweep
from course_app.plots import plot_pairs, plot_sweep

NOT_TOLD = float("nan")


def unknown_cpu() -> Comparison:
    sides = (variant("a", 45), variant("b", 5))
    hidden = [replace(v, rounds={**v.rounds, "cpu": np.full(10, NOT_TOLD)}) for v in sides]
    return replace(comparison(*hidden), metric="cpu")


def unknown_sweep() -> Sweep:
    told = sweep(2)
    points = {
        name: tuple(replace(p, windows={**p.windows, "cpu": (NOT_TOLD,) * 3}) for p in line)
        for name, line in told.series.items()
    }
    return replace(told, series=points, metric="cpu")


def test_a_comparison_cannot_tell() -> None:
    result = unknown_cpu()
    assert result.verdict() is Verdict.CANNOT_TELL
    assert result.faster() is None
    assert "cannot tell" in result.message
    assert str(result).count("not known") >= 3
    assert "nan" not in str(result)
    assert "nan" not in result.plot().title
    plot_pairs(result)
    assert json.loads(result.to_json())["variants"][1]["rounds"]["cpu"] == [None] * 10


def test_the_other_figures_of_it_stand() -> None:
    assert unknown_cpu().speedup(metric="p50").above(8)


def test_a_round_that_is_not_known_is_left_out() -> None:
    known = variant("b", 5)
    cpu = known.rounds["cpu"].copy()
    cpu[3] = NOT_TOLD
    gap = replace(known, rounds={**known.rounds, "cpu": cpu})
    result = replace(comparison(variant("a", 45), gap), metric="cpu")
    assert result.faster() is True
    assert gap.middle("cpu") > 0
    plot_pairs(result)


def test_a_measurement_says_so() -> None:
    text = str(replace(measurement(), cpu_us_per_request=NOT_TOLD))
    assert "not known" in text
    assert "nan" not in text


def test_a_sweep_says_so() -> None:
    result = unknown_sweep()
    assert "not known" in str(result)
    assert "nan" not in str(result)
    plot_sweep(result)
    json.loads(result.to_json())
    factor = result.growth("def + time.sleep", 1, 200)
    assert factor.above(1.1) is factor.below(1.1) is None
