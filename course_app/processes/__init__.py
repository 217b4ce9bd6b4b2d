"""Processes that cannot outlive their owner: every server and helper of a lab runs in one."""

from course_app.processes.owned import OwnedProcess
from course_app.system.platforms import UnsupportedPlatform, require_posix

__all__ = ["OwnedProcess", "UnsupportedPlatform", "require_posix"]
