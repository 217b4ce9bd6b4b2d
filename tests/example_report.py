"""A report as the examination writes it, for the tests of how it looks."""

from course_app.examine.findings import (
    Bound,
    Cause,
    Change,
    Evidence,
    Finding,
    Report,
    RouteReport,
    Where,
)

BLOCKED = Finding(
    cause=Cause.BLOCKED_LOOP,
    route="GET /orders/{order_id}",
    where=Where(file="/srv/shop/main.py", line=12, function="order", code="time.sleep(0.004)"),
    confirmed=True,
    evidence=(
        Evidence(
            look="loop lag",
            says="The event loop stood still for most of each request.",
            value=Bound(estimate=4.1, low=4.0, high=4.3),
            unit="ms",
        ),
        Evidence(look="stacks", says="96 % of the samples show this <line>.", agrees=True),
        Evidence(look="threads", says="No thread waited.", agrees=False),
    ),
    at_most=Bound(estimate=3.1, low=2.9, high=3.4),
    lesson="02_async",
)
GROWING = Finding(
    cause=Cause.GROWING_MEMORY,
    route="GET /search?q={q}",
    where=None,
    confirmed=False,
    evidence=(Evidence(look="memory", says="It grew by 12 MB in 4,000 requests."),),
    at_most=Bound(estimate=1.0, low=1.0, high=1.0),
    lesson="08_in_memory_cache",
)
ROUTES = (
    RouteReport(
        route="GET /orders/{order_id}",
        p50_ms={1: 4.4, 8: 34.2, 32: 139.0, 64: None},
        throughput={1: 210.0},
        errors={1: 0, 64: 3},
    ),
    RouteReport(route="GET /search?q={q}", p50_ms={1: 0.51, 8: 2.2}, errors={1: 0}),
)
REPORT = Report(
    healthy=False,
    findings=(BLOCKED, GROWING),
    target="shop/main.py:app",
    routes=ROUTES,
    not_looked_at=("Plans were not looked at: the app's database is not the lab's.",),
    seconds=41.3,
)
HEALTHY = Report(healthy=True, findings=(), target="shop/main.py:cured", routes=ROUTES, seconds=40)
COMPARED = REPORT.model_copy(
    update={
        "against": HEALTHY.target,
        "changes": (Change(cause=Cause.BLOCKED_LOOP, route=BLOCKED.route, what="gone"),),
    }
)
