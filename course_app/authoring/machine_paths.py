"""Outputs must not hold paths of the machine that built them.

Places that a traceback or a warning often names are shortened to what means the same
everywhere; any other path that exists here is refused, for its author to remove.
"""

import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_app.errors import CourseError

#: Something that reads like an absolute path of two or more parts, but is no URL or tag.
_PATH = re.compile(r"(?<![\w<.:/~\\-])/[\w.@+-]+(?:/[\w.@+-]+)+")

#: A picture in a page: its letters read like paths, and mean nothing.
_PICTURE = re.compile(r"(data:image/[\w+.-]+;base64,[A-Za-z0-9+/=]+)")

#: The same on every Linux: naming them gives nothing away.
_COMMON = ("/proc/", "/sys/", "/dev/", "/etc/")


def scrub(notebook: NotebookNode, root: Path, name: str) -> None:
    """Shorten known paths in all outputs, in place; ``name`` is the notebook's, for messages.

    Raises:
        CourseError: another path of this machine is left; the message says in which cell.
    """
    places = _places(root)
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            for holder, key in _texts(output):
                holder[key] = _shortened(holder[key], places)
                _refuse_rest(holder[key], f"{name}, cell {number}")


def _places(root: Path) -> list[tuple[re.Pattern[str], str]]:
    """Places and what stands for them, the innermost first."""
    temporary = re.escape(tempfile.gettempdir())
    places = [(re.compile(rf"{temporary}/ipykernel_\d+/\d+\.py"), "cell")]
    folders = {
        Path(sysconfig.get_paths()["purelib"]): "site-packages",
        Path(sysconfig.get_paths()["stdlib"]): "python",
        Path(sys.prefix): "environment",
        root: ".",
        Path.home(): "~",
    }
    for folder in sorted(folders, key=lambda f: -len(f.parts)):
        # A home of "/" stands for nothing.
        if len(folder.parts) > 1:
            whole = re.compile(rf"(?<![\w.]){re.escape(str(folder))}(?![\w.-])")
            places.append((whole, folders[folder]))
    return places


def _texts(output: Any) -> Iterator[tuple[Any, Any]]:
    """Where an output holds text: (container, key) pairs."""
    for key in ("text", "evalue"):
        if isinstance(output.get(key), str):
            yield output, key
    lines = output.get("traceback", [])
    yield from ((lines, index) for index in range(len(lines)))
    data = output.get("data", {})
    for mime, value in data.items():
        if isinstance(value, str) and mime.startswith("text/"):
            yield data, mime


def _shortened(text: str, places: list[tuple[re.Pattern[str], str]]) -> str:
    parts = _PICTURE.split(text)  # every second one is a picture
    for place, shorter in places:
        parts[::2] = [place.sub(shorter, part) for part in parts[::2]]
    return "".join(parts)


def _refuse_rest(text: str, where: str) -> None:
    for match in _PATH.finditer(_PICTURE.sub("", text)):
        path = match.group()
        known = path.startswith(tempfile.gettempdir() + "/") or Path(path).exists()
        if known and not path.startswith(_COMMON):
            raise CourseError(
                f"{where} prints {path}, a path of this machine. "
                "Print something that means the same everywhere."
            )
