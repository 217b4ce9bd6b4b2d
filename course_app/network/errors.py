"""What can go wrong on the way through the proxy, said in sentences."""

from course_app.errors import CourseError


class NetworkError(CourseError):
    """The proxy between an app and its servers cannot do what was asked."""


class BadUpstream(NetworkError):
    """A URL that the proxy cannot stand in front of, or a name that it does not know."""


class BadDelay(NetworkError):
    """A delay that is negative, not a number, or longer than anyone would wait."""


class ProxyEnded(NetworkError):
    """The proxy process has ended, or was closed."""
