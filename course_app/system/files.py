"""Files that are there as a whole: the old one or the new, whatever interrupts their writing."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> Path:
    """Write a file in one step. Text is written as UTF-8; a link's target is replaced.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    place = path.resolve()
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            if place.exists():  # who may read and write it stays as it was
                shutil.copymode(place, draft)
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
    except OSError as error:
        # A full disk names no file, and the draft's name says nothing to a reader.
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # where nothing could be written there may be nothing to remove
            draft.unlink()
    return path
