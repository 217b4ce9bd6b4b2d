"""What Locust loads beside a locustfile, in a folder of its own that Locust puts on its path."""

from pathlib import Path


def course_reporter_path() -> Path:
    """The file of the reporter; importing it here would import Locust."""
    return Path(__file__).with_name("course_reporter.py")
