"""Private folders for temporary files, also where sockets with a name lie in them."""

import os
import tempfile
from pathlib import Path

# The name of a socket may have so many bytes (sun_path of sys/un.h, with a final zero byte: 108
# on Linux, 104 on macOS), and TMPDIR alone can be longer.
_LONGEST_SOCKET_PATH = 103
_LONGEST_NAME = 20
_SHORT = "/tmp"


def folder_for_a_socket(prefix: str) -> Path:
    """A new folder for this user alone, in which a socket's name of 20 bytes still fits.

    Raises:
        OSError: no folder can be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if len(os.fsencode(folder)) + 1 + _LONGEST_NAME <= _LONGEST_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_SHORT))
