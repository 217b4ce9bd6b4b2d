"""A text of which a few lines are others: patients of the clinic, and answers that are wrong."""

from collections.abc import Sequence

#: Old lines, each found exactly once, and the new ones.
Changes = Sequence[tuple[str, str]]


def changed(text: str, changes: Changes, name: str = "the text") -> str:
    """The text with other lines.

    Raises:
        ValueError: old lines are not there, or not only once; ``name`` says where.
    """
    for old, new in changes:
        if (times := text.count(old)) != 1:
            raise ValueError(f"{name} has this {times} times instead of once: {old}")
        text = text.replace(old, new)
    return text
