"""A number to commit to before measuring: the gap to the measured one is what stays in mind."""

from dataclasses import dataclass

from course_app.measure.statistics import significant


@dataclass(frozen=True)
class Prediction:
    """What the learner expects, such as 3 ("times as fast with a pool")."""

    value: float
    what: str

    def __str__(self) -> str:
        return f"You predict: {significant(self.value)} {self.what}."

    def against(self, measured: float) -> str:
        """How the prediction compares with what was measured."""
        ratio = measured / self.value if self.value else float("inf")
        gap = "close" if 2 / 3 < ratio < 1.5 else f"{significant(max(ratio, 1 / ratio))} times off"
        return f"predicted {significant(self.value)}, measured {significant(measured)}: {gap}"
