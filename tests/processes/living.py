"""Whether a process is still there."""

import psutil


def is_alive(pid: int) -> bool:
    """Does it run? One that has ended and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
