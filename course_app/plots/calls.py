"""What calls of client libraries cost, as multiples of the first one's."""

from collections.abc import Sequence

from course_app.measure.calls import CallComparison
from course_app.measure.prediction import Prediction
from course_app.plots.bars import Bar, plot_bars
from course_app.plots.figure import Figure

_EACH = " per call"


def plot_calls(
    result: CallComparison,
    *,
    title: str | None = None,
    metric: str | None = None,
    predicted: float | Prediction | None = None,
    counters: Sequence[str] = (),
) -> Figure:
    """Times (or CPU) of a call as bars with 99 % intervals; the baseline is 1.

    Args:
        title: the message; computed from the result if not given.
        metric: ``p50`` or ``cpu``; the comparison's own if not given.
        predicted: the factor that was expected of the last client.
        counters: labels of counts to write below the bars.
    """
    value = predicted.value if isinstance(predicted, Prediction) else predicted
    bars = [Bar(result.baseline.name, 1.0, None, None, _below(result, 0, counters))]
    for i, variant in enumerate(result.variants[1:], start=1):
        cost = result.cost(variant.name, metric)
        expected = value if variant is result.variants[-1] else None
        bars.append(Bar(variant.name, cost.estimate, cost, expected, _below(result, i, counters)))
    unit = "CPU of a call, as a multiple of" if _is_cpu(result, metric) else "times as long"
    return plot_bars(bars, title=title or result.message, unit=unit)


def _is_cpu(result: CallComparison, metric: str | None) -> bool:
    return (metric or result.metric) == "cpu"


def _below(result: CallComparison, index: int, labels: Sequence[str]) -> str:
    texts = result.variants[index].counts.as_text()
    said = [f"{label.removesuffix(_EACH)} {texts[label]}" for label in labels if label in texts]
    return "  ·  ".join(said) + _EACH if said else ""
