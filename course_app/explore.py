"""Sliders that measure: choose values, press the button, and see them beside what was tried.

Where nobody can press a button (a lesson that is executed from beginning to end, a script),
some settings are measured at once, and the figure of those is what remains on the page.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import display

from course_app.measure.measurement import Measurement
from course_app.measure.result import a_second, figure
from course_app.measure.statistics import Interval, speedup_interval
from course_app.plots.bars import Bar, plot_bars
from course_app.plots.figure import Figure

#: Set where lessons are executed without a reader; widgets would leave nothing there.
HEADLESS = "COURSE_HEADLESS"
_BARS = 8


@dataclass
class Explorer:
    """What has been tried so far.

    Attributes:
        measure: measures one setting; its parameters have the sliders' names.
        sliders: the values of each slider.
        tried: settings and their measurements, the first one first.
    """

    measure: Callable[..., Measurement]
    sliders: dict[str, Sequence[Any]]
    tried: list[tuple[str, Measurement]] = field(default_factory=list)

    def try_out(self, **setting: Any) -> None:
        """Measure one setting."""
        name = ", ".join(f"{label.replace('_', ' ')} {value}" for label, value in setting.items())
        self.tried.append((name, self.measure(**setting)))

    def presets(self) -> list[dict[str, Any]]:
        """From the first values of all sliders over the middle to the last, none of them twice."""
        found: list[dict[str, Any]] = []
        for share in (0.0, 0.5, 1.0):
            setting = {
                name: values[round(share * (len(values) - 1))]
                for name, values in self.sliders.items()
            }
            if setting not in found:
                found.append(setting)
        return found

    def figure(self) -> Figure:
        """Throughput of what was tried, against the first, with intervals from within windows.

        What answered wrongly is compared with nothing.
        """
        first = self.tried[0]
        best, most = self.tried[self._best()]
        bars = [_bar(name, first[1], result) for name, result in self._shown()]
        if first[1].wrong:
            title = f"No comparison: answers were wrong. {first[1].wrong[0]}"
        elif most is first[1]:
            title = f"In one run each, none gave more requests/s than {best}"
        else:
            title = f"{best}: {_against(first[1], most).times} the throughput of {first[0]}"
        # Parts of a run know nothing of how the next run of the same would differ.
        unit = "times the throughput (from one run each) of"
        return plot_bars(bars, title=title, unit=unit)

    def _best(self) -> int:
        """The place of what gave most, of those that answered rightly if there are some."""

        def worth(number: int) -> tuple[bool, float]:
            result = self.tried[number][1]
            return not result.wrong, result.throughput

        return max(range(len(self.tried)), key=worth)

    def _shown(self) -> list[tuple[str, Measurement]]:
        """The first, the best and the last: as many as there are bars, in their order."""
        numbers = range(len(self.tried))
        always = {0, self._best()}
        others = [number for number in numbers if number not in always]
        return [self.tried[x] for x in sorted([*always, *others[len(always) - _BARS :]])]


def _bar(name: str, first: Measurement, result: Measurement) -> Bar:
    if first.wrong or result.wrong:
        return Bar(name, float("nan"), below="answers were wrong" if result.wrong else "")
    told = f"{a_second(result.throughput)} requests/s, p50 {figure(result.p50_ms, '.1f')} ms"
    if result is first:
        return Bar(name, 1.0, below=told)
    times = _against(first, result)
    return Bar(name, times.estimate, times, below=told)


def _against(first: Measurement, other: Measurement) -> Interval:
    """How many times as much throughput; half a request per second keeps logarithms finite."""
    before, after = first.throughputs, other.throughputs
    return speedup_interval(np.log(after + 0.5) - np.log(before + 0.5))


def explore(measure: Callable[..., Measurement], **sliders: Sequence[Any]) -> None:
    """Show sliders and a button that measures what they say.

    Args:
        measure: a function whose parameters are the sliders; returns ``lab.measure(...)``.
        sliders: by parameter the values to choose from, such as ``pool_size=[1, 4, 16]``.

    Raises:
        ValueError: there is no slider, or one of them has no values.
    """
    if not sliders or not all(len(values) for values in sliders.values()):
        raise ValueError("Each slider needs values to choose from, such as pool_size=[1, 4, 16].")
    explorer = Explorer(measure, dict(sliders))
    for preset in explorer.presets():
        explorer.try_out(**preset)
    if os.environ.get(HEADLESS) or get_ipython() is None:
        display(explorer.figure())  # type: ignore[no-untyped-call]
        return
    display(panel(explorer))  # type: ignore[no-untyped-call]


def panel(explorer: Explorer) -> Any:
    """The widgets: one slider a parameter, the button, and the figure."""
    import ipywidgets

    # As wide as the longest name needs, so that all sliders begin below each other.
    name_width = f"{max(map(len, explorer.sliders)) + 1}ch"
    choices = {
        name: ipywidgets.SelectionSlider(
            options=list(values),
            value=values[len(values) // 2],
            description=name.replace("_", " "),
            style={"description_width": name_width},
        )
        for name, values in explorer.sliders.items()
    }
    button = ipywidgets.Button(description="Measure", button_style="primary")
    output = ipywidgets.Output()

    def show(figure: Figure) -> None:
        # Not by capturing what is displayed: programs that run notebooks answer that with messages,
        # and some of them then waited for ever.
        output.outputs = ()
        output.append_display_data(figure)

    def pressed(_button: Any) -> None:
        button.disabled, button.description = True, "Measuring …"
        figure = None
        try:
            with output:  # shows an error and ends it
                explorer.try_out(**{name: each.value for name, each in choices.items()})
                figure = explorer.figure()
            if figure is not None:
                show(figure)
        finally:
            button.disabled, button.description = False, "Measure"

    button.on_click(pressed)
    show(explorer.figure())
    return ipywidgets.VBox([*choices.values(), button, output])
