"""Files that are there as a whole: the old one or the new, whatever interrupts their writing."""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> Path:
    """Write a file in one step. Text is written as UTF-8; a link's target is replaced.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
