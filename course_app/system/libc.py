"""Which C library Linux's programs are linked with: the wheels' servers need glibc."""

import os

from course_app.system import platforms

#: What the wheels' programs were built for (manylinux_2_28: RHEL 8, Debian 10, Ubuntu 18.10).
OLDEST_GLIBC = (2, 28)


def why_unfit() -> str | None:
    """What is wrong with this system's C library for ready-made programs; None if nothing is."""
    if not platforms.is_linux():
        return None
    version = glibc_version()
    if version is None:
        return "this Linux has another C library than glibc (Alpine, for one, has musl)"
    if version < OLDEST_GLIBC:
        return f"this Linux has glibc {version[0]}.{version[1]}"
    return None


def glibc_version() -> tuple[int, int] | None:
    """Major and minor version; None where this Python runs on another C library, such as musl."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) if name == "glibc" else None
    except (ValueError, OSError):
        return None
