"""Where the changing values of a request come from: seeded distributions.

A distribution is a description (a frozen dataclass). A generator process gets the description and a
seed and draws the values itself, so that the same seed sends the same values to every server.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from course_app.load.limits import BadWorkload

Scalar = str | int | float | bool | None
Draw = Callable[[], Scalar]

MOST_ZIPF_RANKS = 1_000_000
"""A rank costs 8 bytes of table and about a tenth of a microsecond of preparation."""


class Source:
    """What draws are made from: a seed, and how many requests went before (for sequences)."""

    def __init__(self, seed: int, first: int = 0) -> None:
        self.random = Random(f"requests {seed} from {first}")
        self.first = first


class Distribution(ABC):
    """A stream of values; equal sources give equal streams."""

    endless = False
    """Whether a value may never come back, so that requests must not be sent twice."""

    @abstractmethod
    def stream(self, source: Source) -> Draw:
        """A function that returns the next value each time it is called."""


@dataclass(frozen=True)
class Uniform(Distribution):
    low: float
    high: float

    def stream(self, source: Source) -> Draw:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return functools.partial(source.random.randint, self.low, self.high)
        return functools.partial(source.random.uniform, self.low, self.high)


@dataclass(frozen=True)
class Zipf(Distribution):
    count: int
    exponent: float

    def stream(self, source: Source) -> Draw:
        cumulative = _zipf_cumulative(self.count, self.exponent)
        total, uniformly = cumulative[-1], source.random.random
        return lambda: bisect.bisect_right(cumulative, uniformly() * total) + 1


@functools.lru_cache(maxsize=4)
def _zipf_cumulative(count: int, exponent: float) -> tuple[float, ...]:
    return tuple(itertools.accumulate(rank**-exponent for rank in range(1, count + 1)))


@dataclass(frozen=True)
class Counted(Distribution):
    start: int
    step: int

    endless = True

    def stream(self, source: Source) -> Draw:
        return itertools.count(self.start + self.step * source.first, self.step).__next__


@dataclass(frozen=True)
class Choice(Distribution):
    values: tuple[Scalar, ...]

    def stream(self, source: Source) -> Draw:
        return functools.partial(source.random.choice, self.values)


@dataclass(frozen=True)
class Text(Distribution):
    template: str
    values: tuple[tuple[str, Scalar | Distribution], ...]

    @property
    def endless(self) -> bool:  # type: ignore[override]
        return any(isinstance(value, Distribution) and value.endless for _, value in self.values)

    def stream(self, source: Source) -> Draw:
        draws = {name: value_stream(value, source) for name, value in self.values}
        return lambda: self.template.format_map({name: draw() for name, draw in draws.items()})


def value_stream(value: Scalar | Distribution, source: Source) -> Draw:
    """The stream of a distribution, or the same constant for ever."""
    if isinstance(value, Distribution):
        return value.stream(source)
    return lambda: value


def uniform(low: float, high: float) -> Distribution:
    """Even values from ``low`` to ``high``, both included; whole numbers if both are."""
    if not low <= high:
        raise BadWorkload(f"uniform({low}, {high}) has no values: give the lower bound first.")
    return Uniform(low, high)


def zipf(count: int, exponent: float = 1.0) -> Distribution:
    """Ranks 1 to ``count``; rank k comes with a probability proportional to ``k ** -exponent``.

    The usual model of popularity: few items are asked for often, most hardly ever (Zipf 1949;
    Breslau et al., "Web caching and Zipf-like distributions", INFOCOM 1999).
    """
    if not 1 <= count <= MOST_ZIPF_RANKS or exponent < 0:
        raise BadWorkload(
            f"zipf({count}, {exponent}) cannot be drawn from: give between 1 and "
            f"{MOST_ZIPF_RANKS} ranks and an exponent of at least 0."
        )
    return Zipf(count, exponent)


def sequence(start: int = 1, step: int = 1) -> Distribution:
    """``start``, ``start + step``, ... without end: no value comes twice.

    Each place in which a sequence stands counts on its own.
    """
    if step == 0:
        raise BadWorkload("sequence(step=0) would repeat one value: give another step.")
    return Counted(start, step)


def choice(values: Sequence[Scalar]) -> Distribution:
    """One of ``values``, each as likely as the others."""
    if not values:
        raise BadWorkload("choice() needs at least one value to choose from.")
    for value in values:
        require_scalar(value)
    return Choice(tuple(values))


def text(template: str, **values: Scalar | Distribution) -> Distribution:
    """A text with ``{placeholders}``, such as ``text("user{n}@example.com", n=sequence())``."""
    check_placeholders(template, values)
    return Text(template, tuple(values.items()))


def require_scalar(value: object) -> None:
    """Raises BadWorkload if a value is not a text, a number, a truth value or None."""
    if not isinstance(value, Scalar):
        raise BadWorkload(
            f"A request cannot carry {value!r}: use a text, a number, True, False or None."
        )


def check_placeholders(template: str, values: Mapping[str, object]) -> None:
    """Raises BadWorkload unless ``values`` fills exactly the placeholders of ``template``."""
    wanted = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    if missing := sorted(wanted - set(values)):
        raise BadWorkload(f"{template!r} has no value for {missing[0]!r}: pass {missing[0]}=...")
    if unknown := sorted(set(values) - wanted):
        raise BadWorkload(
            f"{template!r} has no placeholder for {unknown[0]!r}: "
            f"write {{{unknown[0]}}} where it belongs."
        )
