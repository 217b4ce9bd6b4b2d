"""What one request costs on the wire: round trips, connections, bytes."""

from collections.abc import Callable

from course_app.errors import CourseError
from course_app.load import Generator, LoadResult, Request, Workload
from course_app.measure.answers import errors_of, together
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.subject import require_in_time
from course_app.network import Wire, WireCounts
from course_app.serving import ThreadServer

COUNTED_REQUESTS = 50


class TapFailed(CourseError):
    """There is nothing to count."""


class WireTap:
    """Counts what passes between an app and its servers, by way of a proxy that adds no delay.

    The app has to reach its servers through the wire's URLs, from its start on.
    """

    def __init__(self, generator: Generator, wire: Wire) -> None:
        self._generator = generator
        self._wire = wire

    def url(self, server: str) -> str:
        """The address of one of the tapped servers by way of the tap."""
        return self._wire.url(server)

    def count(
        self, app: ASGIApp, traffic: str | Request | Workload, *, server: str = "postgres"
    ) -> WireCounts:
        """Serve the app, warm it up, and count one request after another.

        Returns:
            Connections, round trips and bytes **per request**.

        Raises:
            TapFailed: an answer was wrong, or the connection was lost.
            AppDoesNotAnswer: a request timed out.
        """
        with ThreadServer(app) as running:
            target = self._generator.connect(running.url, traffic)
            try:
                require_in_time(running, self._generator.closed(target, requests=COUNTED_REQUESTS))
                self._wire.reset()
                load = self._generator.closed(target, requests=COUNTED_REQUESTS)
                _require_right(require_in_time(running, load))
                return self._wire.counts(server).per(COUNTED_REQUESTS)
            finally:
                self._generator.disconnect(target)

    def during(self, work: Callable[[], object], *, server: str = "postgres") -> WireCounts:
        """Count what a function passes over the wire, also on connections opened before."""
        self._wire.reset()
        work()
        return self._wire.counts(server)


def _require_right(load: LoadResult) -> None:
    """What a failing request passes over the wire says nothing about one that succeeds."""
    if wrong := together(errors_of("app", load)):
        raise TapFailed(f"Nothing is counted, because answers were wrong. {wrong[0]}")
