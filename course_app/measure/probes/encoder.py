"""How often FastAPI's ``jsonable_encoder`` is called, by itself too: once for each list, dict,
key and value of an answer that it knows no type of.
"""

import sys
from collections.abc import Sequence
from itertools import count
from types import ModuleType
from typing import Any

from fastapi import encoders

from course_app.measure.probes import Reading

_NAME = "jsonable_encoder"


class EncoderProbe:
    """Puts a function that counts into the place of ``jsonable_encoder``, in all of this process.

    Its recursive calls go by the name in its own module, so that they are counted as well.
    While it counts, encoding is slower: for counting passes, not for timed windows.
    """

    def __init__(self) -> None:
        self._original: Any = None
        self._places: list[ModuleType] = []
        self._calls = count()

    def start(self) -> None:
        """Begin to count from zero."""
        self._take_away()
        self._calls, original = count(), encoders.jsonable_encoder
        self._original = original
        # Some modules stand for others and make names when asked; only real ones are looked at.
        self._places = [
            module
            for module in list(sys.modules.values())
            if getattr(module, "__dict__", {}).get(_NAME) is original
        ]

        def counted(*args: Any, **options: Any) -> Any:
            next(self._calls)
            return original(*args, **options)

        for module in self._places:
            setattr(module, _NAME, counted)

    def stop(self) -> Sequence[Reading]:
        """All calls since ``start``; encoding is as fast as before."""
        self._take_away()
        calls = next(self._calls)
        self._calls = count(calls)
        return [Reading("jsonable_encoder calls", float(calls))]

    def _take_away(self) -> None:
        for module in self._places:
            setattr(module, _NAME, self._original)
        self._places = []
