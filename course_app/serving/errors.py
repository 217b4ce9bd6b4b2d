"""What can go wrong when an app is served, said in sentences."""

from course_app.errors import CourseError


class ServingError(CourseError):
    """An app could not be served, or is not served any more."""


class AppFailedToStart(ServingError):
    """The app raised, exited or took too long before it could answer its first request.

    ``original`` is the app's own exception where there is one.
    """

    def __init__(self, message: str, original: BaseException | None = None) -> None:
        super().__init__(message)
        self.original = original


class AppDoesNotAnswer(ServingError):
    """Requests were not answered in time, or the event loop runs nothing any more."""


class ProgramMissing(ServingError):
    """The server program is not installed."""


class UsageNotKnown(ServingError):
    """This system does not tell what a server's processes use."""


class ServerStopped(ServingError):
    """Something was asked of a server that has been stopped."""
