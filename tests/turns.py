"""Which slow tests come first where time is bounded: a fifth of each kind, another in each turn."""

from collections import defaultdict

import pytest

#: So many slow tests or more that differ in their parameters alone are of one kind.
MANY_OF_A_KIND = 3
#: A turn begins with every so manieth of them.
TURNS = 5


def of_other_turns(items: list[pytest.Item], turn: int) -> list[pytest.Item]:
    """Slow ones of a kind of which there are many, but for those whose turn it is."""
    kinds = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow"):
            kinds[item.nodeid.partition("[")[0]].append(item)
    many = [kind for kind in kinds.values() if len(kind) >= MANY_OF_A_KIND]
    return [x for kind in many for at, x in enumerate(kind) if at % TURNS != turn % TURNS]
