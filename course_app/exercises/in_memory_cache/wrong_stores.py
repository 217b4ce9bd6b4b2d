"""Stores for reports, each with something that learners get wrong."""

import copy
import time
from typing import Any

Key = tuple[int, ...]


class Expiring(dict[Key, Any]):
    """A dictionary with expiry times, as in the guide; ``most``: entries that it takes."""

    most = float("inf")

    def get(self, key: Key, default: Any = None) -> Any:
        report, expires = super().get(key, (default, 0.0))
        return report if time.monotonic() < expires else default

    def __setitem__(self, key: Key, report: Any) -> None:
        if key in self or len(self) < self.most:
            super().__setitem__(key, (report, time.monotonic() + 1))


class Full(Expiring):
    """Takes no new key once it is full, and never becomes empty."""

    most = 20


class Sliding(Expiring):
    """Each read makes an entry live longer."""

    def get(self, key: Key, default: Any = None) -> Any:
        if (report := super().get(key, default)) is not None:
            self[key] = report
        return report


class CopiesAll(Expiring):
    """Bounded and safe: each reader gets a copy, of everything that is there."""

    def get(self, key: Key, default: Any = None) -> Any:
        return Expiring(copy.deepcopy(dict(self))).get(key, default)

    def __setitem__(self, key: Key, report: Any) -> None:
        super().__setitem__(key, report)
        if len(self) > 20:
            del self[next(iter(self))]
