"""Remarks that several kinds of results share."""


def generator_note(busy: float) -> str:
    """Was the generator the bottleneck? It is one process, so one core is its limit."""
    verdict = "not the bottleneck" if busy < 0.9 else "it may be the bottleneck here"
    return f"The load generator used {busy:.0%} of a core: {verdict}."
