"""``course prepare``: make the data set before somebody waits for it."""

from course_app.cli.console import output


def prepare() -> None:
    """Make the data set now, so that the first lab starts at once; takes some seconds, once."""
    from course_app.services import cache

    output().print(f"The data set is ready: {cache.prepare()}", soft_wrap=True)
