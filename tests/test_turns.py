"""What a run leaves out where its time is bounded comes first in another."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from turns import TURNS, of_other_turns


def slow(name: str, number: int) -> Any:
    ids = [name] if number == 1 else [f"{name}[{each}]" for each in range(number)]
    marker = {"slow": pytest.mark.slow}.get
    return [SimpleNamespace(nodeid=each, get_closest_marker=marker) for each in ids]


def test_what_there_are_many_of_is_proved_once_in_all_turns() -> None:
    many = [*slow("lessons", 17), *slow("exercises", 4)]
    quick = SimpleNamespace(nodeid="lessons[quick]", get_closest_marker=lambda _: None)
    items = cast("list[pytest.Item]", [*slow("alone", 1), *many, *slow("pair", 2), quick])
    left = [of_other_turns(items, 40 + turn) for turn in range(TURNS)]
    proved = [item for each in left for item in many if item not in each]
    assert sorted(x.nodeid for x in proved) == sorted(x.nodeid for x in many)
    assert all(x in many for each in left for x in each)
