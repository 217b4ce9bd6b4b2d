"""How long requests go on before a window."""

import numpy as np
import pytest

from course_app.measure.subject import warmup_seconds


@pytest.mark.parametrize(
    ("first_ms", "seconds"),
    [([], 0.03), ([1.0, 2.0], 0.03), ([5.0, 5.0, 80.0], 0.08), ([10.0, 30_000.0], 1.0)],
)
def test_it_lasts_as_long_as_the_slowest_first_answer_within_limits(
    first_ms: list[float], seconds: float
) -> None:
    assert warmup_seconds(np.array(first_ms)) == pytest.approx(seconds)
