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


def test_a_count_is_told_without_an_interval() -> None:
    assert Prediction(40, "refusals").against(0) == "Predicted 40, measured 0: not at all."
    assert Prediction(20, "requests").against(20.0) == "Predicted 20, measured 20: that is it."


def test_large_whole_numbers_are_told_with_all_their_digits() -> None:
    said = Prediction(1_234_567, "bytes").against(7_654_321)
    assert said == "Predicted 1,234,567, measured 7,654,321: 6.2 times off."
    assert Prediction(3, "ms").against(2.5) == "Predicted 3, measured 2.5: close."


def test_who_says_nothing_is_asked_and_told_what_was_measured() -> None:
    silent = Prediction(None, "times as fast")
    assert str(silent).startswith("Your guess: ... times as fast.")
    assert silent.against(NINE) == "Measured 9.0 [8.0, 10] times as fast; nothing was predicted."


def test_what_is_not_known_is_told_as_that() -> None:
    said = Prediction(3, "ms of CPU").against(float("nan"))
    assert said == "This system does not tell how many ms of CPU."
