"""Percent-format text to a notebook that is the same, byte for byte, each time it is built.

jupytext draws new cell ids at each conversion and notes its version in the metadata; here
ids come from the position, and only metadata that a reader needs is kept.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from course_app.errors import CourseError

#: Cell metadata that a source may set in a cell's header and that a build keeps.
_KEPT_CELL_METADATA = ("tags", "jupyter", "nbgrader")

#: What JupyterLab would save, without Python's version: it differs from machine to machine.
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


def make_notebook(text: str, stem: str) -> NotebookNode:
    """A notebook without outputs from percent-format text; ``stem`` begins its cells' ids.

    Raises:
        CourseError: the text holds no cell.
    """
    cells = jupytext.reads(text, fmt="py:percent").cells
    if not cells:
        raise CourseError(f"{stem}: this file holds no cell. Begin one with `# %%`.")
    for index, cell in enumerate(cells):
        cell.id = f"{stem}-{index:03d}"
        cell.source = cell.source.strip("\n")  # what markers leave behind
        kept = {key: value for key, value in cell.metadata.items() if key in _KEPT_CELL_METADATA}
        cell.metadata = _node(kept)
    return canonical(_node({"cells": cells}))


def canonical(notebook: NotebookNode) -> NotebookNode:
    """Set the notebook's metadata to what a build writes: nothing of the run, no widget state."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = _node({**_METADATA, "course": {"sources": fingerprint(notebook)}})
    return notebook


def keep_versions_out(model: dict[str, Any], **_: Any) -> None:
    """Jupyter's hook before it saves: of the course's notebooks, the reader's Python is no part.

    JupyterLab notes the kernel's version in each notebook that it opens, and saves that by
    itself: without this, reading a lesson would change a tracked file.
    """
    metadata = model["content"]["metadata"] if model["type"] == "notebook" else {}
    if "course" in metadata:
        metadata["language_info"] = _METADATA["language_info"]


def fingerprint(notebook: NotebookNode) -> str:
    """A digest of all cells' kinds and sources. Outputs and ids do not count."""
    sources = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def edited_by_hand(notebook: NotebookNode) -> bool:
    """Its cells are not those that the build wrote, by the build's own note."""
    built: Any = notebook.metadata.get("course", {})
    noted = built.get("sources") if isinstance(built, dict) else None  # others write there, too
    return bool(noted != fingerprint(notebook))


def code_sources(notebook: NotebookNode) -> list[str]:
    """The sources of the code cells, in order."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def keep_outputs(old: NotebookNode, new: NotebookNode) -> bool:
    """Copy outputs from ``old`` to ``new`` if their code is the same; returns whether it is."""
    if code_sources(old) != code_sources(new):
        return False
    olds, news = ([c for c in n.cells if c.cell_type == "code"] for n in (old, new))
    for before, after in zip(olds, news, strict=True):
        after.outputs, after.execution_count = before.outputs, before.execution_count
    return True


def has_outputs(notebook: NotebookNode) -> bool:
    """Some cell has an output."""
    return any(cell.get("outputs") for cell in notebook.cells)


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file.

    Raises:
        CourseError: it is not a notebook.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark first
        notebook: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        return notebook
    except Exception as error:  # nbformat lets KeyError, JSON and schema errors through
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CourseError(
            f"{path} is not a readable notebook ({reason}). "
            "Restore it from git, or delete it and run `course build`."
        ) from error


def as_text(notebook: NotebookNode) -> str:
    """The bytes of the notebook's file, as text.

    Raises:
        nbformat.ValidationError: it is no valid notebook.
    """
    nbformat.validate(notebook)
    text: str = nbformat.writes(_node(_as_browsers_write(notebook)))  # type: ignore[no-untyped-call]
    return text.rstrip("\n") + "\n"


def _as_browsers_write(value: Any) -> Any:
    """``value`` with 2 for 2.0: JavaScript has one kind of number, and JupyterLab saves that."""
    if isinstance(value, dict):
        return {key: _as_browsers_write(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_browsers_write(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _node(values: dict[str, Any]) -> NotebookNode:
    node: NotebookNode = nbformat.from_dict(values)  # type: ignore[no-untyped-call]
    return node
