"""FastAPI performance, measured: everything that the course's notebooks import."""

from course_app.system import open_files

__version__ = "0.1.0"

open_files.allow()
