"""The family of errors that a reader of the course can act on."""


class CourseError(Exception):
    """Something the reader can act on.

    ``str(error)`` is one clear sentence about what happened and what to do next;
    commands print it without a traceback, and so do notebooks.
    """

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the frames of this package would bury the sentence.
        return [f"{type(self).__name__}: {self}"]
