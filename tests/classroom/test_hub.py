"""A hub lets learners in; three run a lesson at once, in nobody's way, and leave nothing."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from jupyterhub.app import JupyterHub
from traitlets.config.loader import PyFileConfigLoader

from course_app.authoring.contents import find_course
from course_app.explore import HEADLESS
from course_app.services.server import candidate_ports

COURSE = find_course()
DOCUMENTED = COURSE.root / "docs" / "jupyterhub_config.py"
LESSON = COURSE.root / "notebooks" / "00_start_here.ipynb"
LEARNERS = ["ada", "grace", "alan"]
CONFIG = """
load_subconfig({documented!r})
c.JupyterHub.spawner_class = "simple"  # as one user: these learners have no accounts here
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_port = {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.Spawner.environment = {environment!r}
c.Spawner.args += {arguments!r}
c.JupyterHub.services.append({{"name": "teacher", "api_token": {token!r}}})
c.JupyterHub.load_roles.append(
    {{
        "name": "teacher",
        "services": ["teacher"],
        "scopes": ["admin:users", "admin:servers", "access:servers"],
    }}
)
"""


@dataclass(frozen=True)
class Hub:
    url: str
    token: str
    process: "subprocess.Popen[bytes]"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's proxy, which is a Node.js program."""
    if shutil.which("npm") is None:
        pytest.skip("the hub's proxy needs Node.js and npm")
    folder = tmp_path_factory.mktemp("proxy")
    install = ["npm", "install", "--silent", "--prefix", str(folder), "configurable-http-proxy"]
    if subprocess.run(install, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        pytest.skip("the hub's proxy could not be installed: is there a network?")
    return folder / "node_modules" / ".bin" / "configurable-http-proxy"


@pytest.fixture
def hub(tmp_path: Path, proxy: Path) -> Iterator[Hub]:
    ports, token = list(islice(candidate_ports(), 3)), secrets.token_hex(16)
    config = CONFIG.format(
        documented=str(DOCUMENTED),
        homes=str(tmp_path / "{username}"),
        ports=ports,
        proxy=[str(proxy)],
        environment={HEADLESS: "1", "PYTHONPATH": str(COURSE.root)},
        arguments=["--allow-root"] if os.geteuid() == 0 else [],
        token=token,
    )
    (tmp_path / "config.py").write_text(config)
    command = [sys.executable, "-m", "jupyterhub", "--config", "config.py"]
    with (tmp_path / "hub.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    yield Hub(f"http://127.0.0.1:{ports[0]}", token, process)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(90)  # the hub gives its idle culler 30 s to end before it ends itself
    psutil.wait_procs(below, 10)
    print((tmp_path / "hub.log").read_text())
    assert not [each for each in below if each.is_running()]


class Learner:
    """Somebody with a server and a kernel of their own."""

    def __init__(self, hub: Hub, session: aiohttp.ClientSession, name: str) -> None:
        self._api = f"{hub.url}/hub/api/users/{name}"
        self._server = f"{hub.url}/user/{name}/api"
        self._session = session

    async def run(self, cells: list[str]) -> list[str]:
        """Start the server and a kernel, and run cells; returns what they printed."""
        async with self._session.post(self._api) as created:
            created.raise_for_status()
        async with self._session.post(f"{self._api}/server") as started:
            started.raise_for_status()
        while not await self._is_ready():
            await asyncio.sleep(0.5)
        async with self._session.post(f"{self._server}/kernels", json={}) as answer:
            answer.raise_for_status()
            kernel = (await answer.json())["id"]
        channels = f"{self._server}/kernels/{kernel}/channels"
        async with self._session.ws_connect(channels, max_msg_size=0) as socket:
            return [await execute(socket, cell) for cell in cells]

    async def _is_ready(self) -> bool:
        async with self._session.get(self._api) as answer:
            return bool((await answer.json())["servers"].get("", {}).get("ready"))

    async def leave(self) -> None:
        """End the server."""
        async with self._session.delete(f"{self._api}/server") as ended:
            ended.raise_for_status()
        while (await (await self._session.get(self._api)).json())["servers"]:
            await asyncio.sleep(0.2)


async def execute(socket: aiohttp.ClientWebSocketResponse, code: str) -> str:
    """Run code in a kernel; returns what it printed. An error of the code is one here."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": uuid.uuid4().hex,
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    await socket.send_json({**message, "channel": "shell", "buffers": []})
    printed, idle, replied = "", False, False
    while not (idle and replied):
        received = json.loads((await socket.receive(300)).data)
        if received["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        told = received["content"]
        match received["msg_type"]:
            case "stream":
                printed += told["text"]
            case "status":
                idle = told["execution_state"] == "idle"
            case "execute_reply":
                replied = True
                assert told["status"] == "ok", "\n".join(told.get("traceback", []))
    return printed


async def use(hub: Hub, cells: list[str]) -> dict[str, list[str]]:
    async with aiohttp.ClientSession(headers=hub.headers) as session:
        await answering(session, hub)
        learners = [Learner(hub, session, name) for name in LEARNERS]
        printed = await asyncio.gather(*(learner.run(cells) for learner in learners))
        assert servers_below(hub)
        await asyncio.gather(*(learner.leave() for learner in learners))
        return dict(zip(LEARNERS, printed, strict=True))


async def answering(session: aiohttp.ClientSession, hub: Hub) -> None:
    while hub.process.poll() is None:
        try:
            async with session.get(f"{hub.url}/hub/api/users") as answer:
                if answer.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError("the hub did not start")


def servers_below(hub: Hub) -> list[str]:
    """Servers of databases that run because of the hub's learners."""
    names = {"postgres", "valkey-server"}
    below = psutil.Process(hub.process.pid).children(recursive=True)
    return [each.name() for each in below if each.name() in names]


def test_whoever_has_an_account_may_log_in() -> None:
    """Asked of the configuration alone: on the hub below learners are let in by a token."""
    config = PyFileConfigLoader(DOCUMENTED.name, str(DOCUMENTED.parent)).load_config()
    kind: Any = JupyterHub(config=config).authenticator_class

    class RightPassword(kind):
        async def authenticate(self, _handler: object, data: dict[str, str]) -> str:
            return data["username"]

    asked = RightPassword(config=config).get_authenticated_user(None, {"username": "ada"})
    assert asyncio.run(asked)["name"] == "ada"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_learners_run_a_lesson_at_once(hub: Hub) -> None:
    notebook = json.loads(LESSON.read_text())
    lesson = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    facts = (
        "import json, resource, sys",
        "print(json.dumps([lab.postgres_dsn, lab.valkey_url, "
        "resource.getrlimit(resource.RLIMIT_DATA)[0]]), file=sys.stdout)",
    )
    printed = asyncio.run(use(hub, [*lesson, "\n".join(facts)]))
    postgres, valkey, memory = zip(*(json.loads(p[-1]) for p in printed.values()), strict=True)
    assert len(set(postgres)) == len(set(valkey)) == len(LEARNERS)
    assert set(memory) == {2 * 2**30}
    assert not servers_below(hub)
