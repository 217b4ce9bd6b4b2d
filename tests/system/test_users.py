"""Users without names, without homes, and without anybody else; C libraries; long folders."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_app.system import homes, libc, private_folders, users
from course_app.system.users import Account

NO_NAME = 61_234

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


def python(code: str, *through: str) -> str:
    """What the code prints in a process of its own; skips where ``through`` is not allowed."""
    if through and subprocess.run([*through, "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"this user may not {' '.join(through)}")
    done = subprocess.run(
        [*through, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_id_that_nobody_has_has_no_name() -> None:
    assert users.name_of(0) == "root"
    assert users.name_of(NO_NAME) is None


def test_root_of_a_namespace_with_one_user_cannot_become_another() -> None:
    code = """
from course_app.system import users
print(users.can_become(users.Account(65534, 65534)), users.can_become(users.Account(0, 0)))
"""
    assert python(code, "unshare", "--user", "--map-root-user").split()[0] == "False"


@root_only
def test_what_another_user_can_read_is_tried() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chown(folder, NO_NAME, NO_NAME)
        assert users.can_work_as(NO_NAME, Path(folder))
        os.chown(folder, 0, 0)
        assert not users.can_work_as(NO_NAME, Path(folder))  # it may read there, not write


def test_a_process_passes_for_another_user_and_makes_files_of_its_own(tmp_path: Path) -> None:
    account = Account(65_534, 65_534)
    if not users.can_pass_for(account):
        pytest.skip("this system allows no user namespaces")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            users.passing_for(account)()
            (tmp_path / "file").touch()
            code = 0 if os.geteuid() == account.uid else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (tmp_path / "file").stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    ("told", "unfit"),
    [
        ("glibc 2.28", None),
        ("glibc 2.41", None),
        ("glibc 2.17", "glibc 2.17"),
        ("", "musl"),
        (None, "musl"),
        (ValueError("unrecognized configuration name"), "musl"),
    ],
)
def test_the_servers_need_glibc_228(
    monkeypatch: pytest.MonkeyPatch, told: str | Exception | None, unfit: str | None
) -> None:
    def confstr(_name: str) -> str | None:
        if isinstance(told, Exception):
            raise told
        return told

    monkeypatch.setattr(os, "confstr", confstr)
    monkeypatch.setattr(libc.platforms, "is_linux", lambda: True)
    found = libc.why_unfit()
    assert found is None if unfit is None else unfit in (found or "")
    monkeypatch.setattr(libc.platforms, "is_linux", lambda: False)
    assert libc.why_unfit() is None


@pytest.mark.parametrize("length", [1, 60, 75, 90, 200])
def test_a_sockets_name_fits_whatever_tmpdir_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int
) -> None:
    base = tmp_path / ("x" * length)
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    folder = private_folders.folder_for_a_socket("course-")
    try:
        assert len(os.fsencode(folder / ("s" * 20))) <= 103
        assert folder.stat().st_mode & 0o777 == 0o700
        assert length > 75 or folder.parent == base or len(str(base)) > 70
        assert not list(base.iterdir()) or folder.parent == base
    finally:
        folder.rmdir()


@pytest.mark.parametrize("searchable", [True, False])
def test_a_home_in_a_folder_that_may_not_be_searched_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, searchable: bool
) -> None:
    """Python before 3.14 raises where such a path is looked at."""
    closed, stat = tmp_path / "closed", os.stat
    closed.mkdir()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(homes.platformdirs, "user_cache_dir", lambda *_, **__: f"{closed}/a/b")

    def refuse(path: object, **options: bool) -> os.stat_result:
        if str(path).startswith(f"{closed}/"):
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "access", lambda *_: searchable)
    assert (homes.cache_folder() == Path(f"{closed}/a/b")) is searchable


def without_home(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def missing(*_arguments: object, **_options: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(homes.platformdirs, "user_cache_dir", missing)
    monkeypatch.setattr(homes.platformdirs, "user_state_dir", missing)


def test_a_user_without_a_home_keeps_files_in_a_private_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_home(monkeypatch, tmp_path)
    folder = homes.cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert homes.state_folder() == folder


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_folder_that_somebody_else_prepared_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    without_home(monkeypatch, tmp_path)
    folder = homes.cache_folder()
    folder.rmdir()
    if kind == "link":
        folder.symlink_to(tmp_path)
    elif kind == "open":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.touch()
    with pytest.raises(homes.NoHome, match="HOME"):
        homes.cache_folder()


@root_only
def test_a_home_that_cannot_be_written_to_is_none() -> None:
    """As in ``docker run --user 1234``, where HOME is /."""
    code = f"""
import os
from course_app.system import homes, users
users.become({NO_NAME})
os.environ["HOME"] = "/"
os.environ.pop("XDG_CACHE_HOME", None)
folder = homes.cache_folder()
print(folder)
folder.rmdir()
"""
    assert str(NO_NAME) in python(code)


@root_only
@pytest.mark.parametrize("home", ["/", ""])
def test_a_user_without_a_name_gets_a_home_for_jupyter(home: str) -> None:
    code = f"""
import os
from pathlib import Path
from course_app.system import homes, users
users.become({NO_NAME})
os.environ["HOME"] = {home!r}
homes.provide()
Path.home().joinpath("file").touch()
Path.home().joinpath("file").unlink()
Path.home().rmdir()
os.environ["HOME"] = "/tmp"
homes.provide()
print(Path.home())
"""
    assert python(code) == "/tmp"
