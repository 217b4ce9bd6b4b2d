"""Predictions are kept once, read whatever lies beside them, and drawn as they were made."""

import io
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from course_app.measure.prediction import Prediction
from course_app.measure.statistics import Interval
from course_app.plots import plot_calibration
from course_app.predictions import Kept, Predictions, calibration

NINE = Interval(9.0, 8.0, 10.0)


@pytest.fixture
def store(tmp_path: Path) -> Predictions:
    return Predictions(tmp_path / "predictions")


def said(predicted: float, measured: float = 9.0) -> Kept:
    return Kept("04", "times as fast", predicted, measured, measured - 1, measured + 1)


def test_the_first_number_counts(store: Predictions) -> None:
    store.keep("04", "times as fast", 3, NINE)
    store.keep("04", "times as fast", 9, NINE)
    store.keep("05", "times as fast", 2, NINE)
    assert [(kept.lesson, kept.predicted) for kept in store.all()] == [("04", 3), ("05", 2)]
    assert {file.suffix for file in store.folder.iterdir()} == {".json"}


def test_it_is_kept_when_it_is_held_against_a_measurement(store: Predictions) -> None:
    def keep(measured: Interval) -> str:
        return store.keep("04", "times as fast", 3, measured)

    guess = Prediction(3, "times as fast", keep)
    assert store.all() == []
    guess.against(NINE)
    assert store.all() == [said(3)]


def test_it_is_kept_once_where_links_are_refused(
    store: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert store.keep("04", "times as fast", 3, NINE) == ""
    assert store.keep("04", "times as fast", 9, NINE) == ""
    assert store.all() == [said(3)]
    assert len(list(store.folder.iterdir())) == 1


def test_what_cannot_be_kept_is_said_after_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep = partial(Predictions(tmp_path / "file").keep, "04", "times as fast", 9)
    sentence = Prediction(9, "times as fast", keep).against(NINE)
    assert sentence.endswith(f"that is it. Not kept: {tmp_path / 'file'}: File exists.")


def test_a_damaged_file_costs_no_other(store: Predictions) -> None:
    store.keep("04", "times as fast", 3, NINE)
    (store.folder / "damaged.json").write_text('{"lesson": ')
    assert len(store.all()) == 1


@pytest.mark.parametrize(
    ("predicted", "good"), [(9, True), (8.1, True), (6.1, True), (5.9, False), (14, False)]
)
def test_good_is_inside_of_the_interval_or_close(predicted: float, good: bool) -> None:
    assert said(predicted).good is good


def test_an_interval_that_holds_everything_makes_nothing_good() -> None:
    assert not Kept("04", "ms", 900, 9, 0.0, math.inf, confidence=0.0).good
    assert Kept("04", "ms", 9, 9, 0.0, math.inf, confidence=0.0).good
    single = Interval(9.0, 0.0, math.inf, confidence=0.0)
    assert Prediction(900, "ms").against(single).endswith("100 times off.")


def test_a_calibration_counts_what_was_more_and_what_was_less() -> None:
    assert calibration([]) == "No prediction has been measured yet."
    assert calibration([said(9)]) == "1 of 1 predictions good."
    kept = [said(9), said(3), said(2), said(40), said(0)]
    assert calibration(kept) == (
        "1 of 5 predictions good; 3 times it was more than predicted, 1 times less."
    )


def test_a_figure_says_what_it_cannot_draw() -> None:
    assert plot_calibration([]).title == calibration([])
    figure = plot_calibration([said(3), said(0), said(40)])
    assert figure.title.endswith("Not drawn: 1 with a zero.")
    assert figure.svg is not None


def test_a_figure_bounds_an_endless_limit_and_leaves_out_an_endless_number() -> None:
    unbounded = Kept("07", "times as fast", 3, 9, 8, math.inf)
    endless = Kept("07", "times", 3, math.inf, 1, math.inf)
    figure = plot_calibration([unbounded, endless, said(0)])
    assert figure.title.endswith("Not drawn: 1 with a zero, 1 without an end.")
    assert figure.svg is not None


def test_a_full_disk_leaves_no_half_prediction_where_links_are_refused(
    store: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    opened = Path.open

    def open_full(path: Path, mode: str = "r", **how: Any) -> Any:
        if mode != "x":
            return opened(path, mode, **how)
        path.touch()
        return Full()

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "open", open_full)
    assert "No space left" in store.keep("04", "times as fast", 3, NINE)
    assert list(store.folder.iterdir()) == []


def test_an_empty_file_is_no_prediction_that_counts(store: Predictions) -> None:
    store.keep("04", "times as fast", 3, NINE)
    (file,) = store.folder.iterdir()
    file.write_bytes(b"")
    assert store.keep("04", "times as fast", 9, NINE) == ""
    assert store.all() == [said(9)]
    assert list(store.folder.iterdir()) == [file]
