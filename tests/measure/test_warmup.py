"""How long requests go on before a window."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from course_app.measure.subject import warmup_seconds


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "seconds"),
    [
        ([], [], 0.03),
        ([0, 0], [1, 2], 0.03),
        ([0, 0, 0, 50], [50, 60, 80, 300], 0.1),  # the last one came when others had an answer
        ([0, 0], [10, 30_000], 1.0),
    ],
)
def test_it_lasts_as_long_as_the_slowest_first_answer_within_limits(
    start_ms: list[float], end_ms: list[float], seconds: float
) -> None:
    start, end = (np.array(ms, dtype=np.int64) * 1_000_000 for ms in (start_ms, end_ms))
    load: Any = SimpleNamespace(start_ns=start, end_ns=end, latency_ms=(end - start) / 1e6)
    assert warmup_seconds(load) == pytest.approx(seconds)
