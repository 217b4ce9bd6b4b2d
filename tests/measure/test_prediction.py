import pytest

from course_app.measure.prediction import Prediction
from course_app.measure.statistics import Interval

NINE = Interval(9.0, 8.0, 10.0)


@pytest.mark.parametrize(
    ("predicted", "said"),
    [(9.5, "inside of the interval"), (7.0, "close"), (3.0, "3.0 times off"), (90, "10 times off")],
)
def test_a_prediction_is_held_against_an_interval(predicted: float, said: str) -> None:
    sentence = Prediction(predicted, "times as fast").against(NINE)
    assert "measured 9.0 [8.0, 10]" in sentence
    assert sentence.endswith(f"{said}.")
