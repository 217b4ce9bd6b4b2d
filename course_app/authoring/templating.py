"""Templates of pages, filled in one way by all who write pages."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

#: The templates that reports share: the frame, styles, the table of verdicts.
SHARED = Path(__file__).parent / "templates"


def templates(*folders: Path) -> Environment:
    """Templates of these folders and the shared ones: values are escaped, none may be missing."""
    return Environment(
        loader=FileSystemLoader([*folders, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
