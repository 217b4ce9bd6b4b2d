"""The family of errors that a reader of the course can act on."""


class CourseError(Exception):
    """Something the reader can act on.

    ``str(error)`` is one clear sentence about what happened and what to do next;
    commands print it without a traceback.
    """
