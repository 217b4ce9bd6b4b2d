"""A number to commit to before measuring: the gap to the measured one is what stays in mind."""

from dataclasses import dataclass

from course_app.measure.statistics import Interval, significant


@dataclass(frozen=True)
class Prediction:
    """What the learner expects, such as 3 ("times as fast with a pool")."""

    value: float
    what: str

    def __str__(self) -> str:
        return f"You predict: {significant(self.value)} {self.what}."

    def against(self, measured: Interval) -> str:
        """How the prediction compares with what was measured, in one sentence."""
        ratio = measured.estimate / self.value if self.value else float("inf")
        if measured.low <= self.value <= measured.high:
            gap = "that is inside of the interval"
        elif 2 / 3 < ratio < 1.5:
            gap = "close"
        else:
            gap = f"{significant(max(ratio, 1 / ratio))} times off"
        return f"Predicted {significant(self.value)}, measured {measured:significant}: {gap}."
