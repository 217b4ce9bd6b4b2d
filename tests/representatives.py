"""Of many cases of one kind the first ones are part of every run, the others of the long proofs."""

from collections.abc import Iterable

import pytest
from _pytest.mark.structures import ParameterSet


def others_slow(number: int, cases: Iterable[object]) -> list[ParameterSet]:
    """The cases as parameters; all but the first ``number`` are marked as slow."""
    return [
        pytest.param(case, marks=[pytest.mark.slow] if place >= number else [])
        for place, case in enumerate(cases)
    ]
