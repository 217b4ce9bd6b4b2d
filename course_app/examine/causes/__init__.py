"""The causes: each looks at the chart for one mechanism, and says on which looks it rests.

None knows an app, a name or a table: only what was measured.
"""

from collections.abc import Callable

from course_app.examine.causes import (
    bytes_made,
    connections,
    loop,
    middleware,
    order,
    overload,
    queries,
    waiting,
)
from course_app.examine.chart import Chart
from course_app.examine.findings import Finding

Find = Callable[[Chart], list[Finding]]

FINDERS: tuple[Find, ...] = (
    overload.fails_under_load,
    overload.growing_memory,
    overload.stampede,
    loop.blocked_loop,
    loop.threads_exhausted,
    connections.connection_per_request,
    queries.n_plus_one,
    queries.by_plan,
    order.sequential_awaits,
    bytes_made.slow_serialization,
    bytes_made.compression_cost,
    middleware.middleware_overhead,
    waiting.pool_wait,
    waiting.lock_contention,
)
