"""Probes: each counts one kind of cause while requests are served.

A new probe is a class with ``start`` and ``stop`` in a module of this folder, named after
where it reads from, and one line in ``Lab``'s list of probes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Reading:
    """One counted figure.

    ``value`` is the total over the counted requests, or the figure itself (a maximum, a
    level) when ``per_request`` is false.
    """

    name: str
    value: float
    per_request: bool = True
    unit: str = ""


class Probe(Protocol):
    """Counts something between ``start`` and ``stop``."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Sequence[Reading]:
        """What happened since ``start``."""


@dataclass(frozen=True)
class Counts:
    """The readings of one counting pass over ``requests`` requests."""

    requests: int
    readings: tuple[Reading, ...] = ()

    def __getitem__(self, name: str) -> float:
        """The figure of that name: per request where it counts requests.

        Raises:
            KeyError: nothing of that name was counted; the message lists the names.
        """
        value = self.get(name)
        if value is not None:
            return value
        known = ", ".join(repr(r.name) for r in self.readings)
        raise KeyError(f"{name!r} was not counted; there is {known or 'nothing'}")

    def __contains__(self, name: object) -> bool:
        return any(reading.name == name for reading in self.readings)

    def get(self, name: str) -> float | None:
        """The figure of that name, or None where it was not counted."""
        found = (self._figure(r) for r in self.readings if r.name == name)
        return next(found, None)

    def as_text(self) -> dict[str, str]:
        """Names with units, and the figures as text for a table."""
        return {self.label(r): _text(self._figure(r)) for r in self.readings}

    def to_dict(self) -> dict[str, Any]:
        """Figures by label."""
        return {self.label(r): self._figure(r) for r in self.readings}

    @staticmethod
    def label(reading: Reading) -> str:
        """``SQL statements / request`` or ``max loop lag, ms``."""
        if reading.per_request:
            return f"{reading.name}{', ' + reading.unit if reading.unit else ''} / request"
        return f"{reading.name}, {reading.unit}" if reading.unit else reading.name

    def _figure(self, reading: Reading) -> float:
        if not reading.per_request:
            return reading.value
        return reading.value / self.requests if self.requests else 0.0


def _text(value: float) -> str:
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
