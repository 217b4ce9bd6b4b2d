"""What has to happen when: the deadlines of all pieces that are being held."""

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[float], None]


class Agenda:
    """Actions ordered by the moment at which they are due (``time.perf_counter`` seconds)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def add(self, due: float, action: Action) -> None:
        """Have ``action`` called with the time when ``due`` has come."""
        heapq.heappush(self._heap, (due, next(self._order), action))

    @property
    def next_due(self) -> float | None:
        """When the next action is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def act(self, now: float) -> None:
        """Do what is due."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)
