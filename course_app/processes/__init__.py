"""Commands that cannot outlive their owner, with all that they start: a lab's servers are."""

from course_app.processes.owned import OwnedProcess
from course_app.system.platforms import UnsupportedPlatform, require_posix

__all__ = ["OwnedProcess", "UnsupportedPlatform", "require_posix"]
