"""How many files and sockets a process may have open at once.

Systems start with as few as 256 (macOS's Terminal), and a lesson holds more sockets than that. The
soft limit may be raised by anybody up to the hard one; children inherit it.
"""

import contextlib
import resource

#: Enough for a lesson with all its servers in one process.
ENOUGH = 4096
#: For processes that hold both ends of very many connections.
FOR_MANY_CONNECTIONS = 16_384
# Older macOS says "no limit" and refuses more than its OPEN_MAX.
_OPEN_MAX = 10_240


def allow(wanted: int = ENOUGH) -> int:
    """Raise this process's soft limit to ``wanted``, or as far as it may; never lower it.

    Returns:
        the limit that holds now. Never fails: what is refused stays as it was.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (wanted, _OPEN_MAX, ENOUGH):
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if most > wanted or soft == resource.RLIM_INFINITY or soft >= allowed:
            continue
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
