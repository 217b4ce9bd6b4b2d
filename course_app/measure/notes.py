"""Remarks that several kinds of results share."""

from course_app.measure.probes import Counts
from course_app.words import amount


def generator_note(busy: float) -> str:
    """Was the generator the bottleneck? It is one process, so one core is its limit."""
    verdict = "not the bottleneck" if busy < 0.9 else "it may be the bottleneck here"
    return f"The load generator used {busy:.0%} of a core: {verdict}."


def afterwards_note(name: str, counts: Counts, clients: int) -> list[str]:
    """Why more requests can be in an app than there are clients, if there were."""
    most = counts.get("max requests in flight") or 0
    if most <= clients:
        return []
    return [
        f"{name}: up to {most:.0f} requests in flight from {amount(clients, 'client')}, because it "
        "goes on after its answer, such as to close a connection."
    ]
