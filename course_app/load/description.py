"""A workload as plain JSON and back, for its way into the generator process.

Each value becomes a pair of a tag and its content, so that nothing a learner sends can be taken for
a distribution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from course_app.load.distributions import Choice, Counted, Distribution, Text, Uniform, Zipf
from course_app.load.workload import Request, Workload

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    kind.__name__: kind for kind in (Uniform, Zipf, Counted, Choice, Text)
}


def describe_workload(workload: Workload) -> list[dict[str, Any]]:
    """The workload as JSON."""
    return [
        {field.name: _pack(getattr(request, field.name)) for field in dataclasses.fields(request)}
        for request in workload.requests
    ]


def restore_workload(described: list[dict[str, Any]]) -> Workload:
    """The workload that `describe_workload` described."""
    return Workload(
        tuple(
            Request(**{name: _unpack(packed) for name, packed in fields.items()})
            for fields in described
        )
    )


def _pack(value: Any) -> list[Any]:
    if isinstance(value, Distribution):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}  # type: ignore[arg-type]
        return [type(value).__name__, _pack(fields)]
    if isinstance(value, Mapping):
        return ["map", [[name, _pack(item)] for name, item in value.items()]]
    if isinstance(value, tuple):
        return ["tuple", [_pack(item) for item in value]]
    if isinstance(value, list):
        return ["list", [_pack(item) for item in value]]
    if isinstance(value, bytes):
        return ["bytes", value.decode("latin-1")]
    return ["value", value]


def _unpack(packed: list[Any]) -> Any:
    tag, content = packed
    if tag in DISTRIBUTIONS:
        return DISTRIBUTIONS[tag](**_unpack(content))
    if tag == "map":
        return {name: _unpack(item) for name, item in content}
    if tag in ("tuple", "list"):
        items = [_unpack(item) for item in content]
        return tuple(items) if tag == "tuple" else items
    return content.encode("latin-1") if tag == "bytes" else content
