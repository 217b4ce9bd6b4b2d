"""Two versions of an app: what became of the causes of the first one in the other."""

from __future__ import annotations

from course_app.examine.findings import Cause, Change, Report

CANNOT_TELL = "cannot tell"
#: Looks that take a whole phase, and how the note begins which says that it did not come.
_NEEDS = {
    Cause.MISSING_INDEX: "Plans were not looked at",
    Cause.DEEP_OFFSET: "Plans were not looked at",
    Cause.GROWING_MEMORY: "Memory was not looked at",
}
_NOT_JUDGED = " was not judged: "


def changes(*, before: Report, after: Report) -> tuple[Change, ...]:
    """What became of the confirmed causes of one version in the other."""
    first, second = (
        {(f.cause, route) for f in report.confirmed for route in f.routes}
        for report in (before, after)
    )
    found = [_missing(before, after, *key) for key in sorted(first - second)]
    found += [Change(cause=c, route=r, what="still") for c, r in sorted(first & second)]
    found += [_came(before, *key) for key in sorted(second - first)]
    order = ("gone", CANNOT_TELL, "still", "new")
    return tuple(sorted(found, key=lambda change: order.index(change.what)))


def _missing(before: Report, after: Report, cause: Cause, route: str) -> Change:
    """Gone only where it was looked for: that nobody saw it is no sign of it otherwise."""
    why = _why_unseen(before, after, cause, route)
    what = CANNOT_TELL if why else "gone"
    return Change(cause=cause, route=route, what=what, why=why)


def _came(before: Report, cause: Cause, route: str) -> Change:
    why = "it was suspected before" if _suspected(before, cause, route) else ""
    return Change(cause=cause, route=route, what=CANNOT_TELL if why else "new", why=why)


def _why_unseen(before: Report, after: Report, cause: Cause, route: str) -> str:
    """Why a report without a cause does not say that it is not there; empty where it does."""
    if _suspected(after, cause, route):
        return "it is still suspected"
    if after.partial:
        return "the second examination ended early"
    asked = _clients(after, route)
    if not asked:
        return "the route gave no right answer there"
    if not _clients(before, route) <= asked:
        return "the route gave no right answer there to as many clients"
    needed = _NEEDS.get(cause)
    if any(
        (needed and note.startswith(needed)) or _NOT_JUDGED in note for note in after.not_looked_at
    ):
        return "not everything was looked at there"
    return ""


def _suspected(report: Report, cause: Cause, route: str) -> bool:
    return any(
        each.cause is cause and route in each.routes and not each.confirmed
        for each in report.findings
    )


def _clients(report: Report, route: str) -> set[int]:
    """With how many clients a route was answered rightly."""
    return {
        clients
        for each in report.routes
        if each.route == route
        for clients, p50_ms in each.p50_ms.items()
        if p50_ms is not None
    }
