"""The process of the examined app: serves it, with instruments, and does what its owner asks.

    python -m course_app.examine.instruments.host SOCKET TARGET SERVICES OBSERVED

The app's loop runs in the main thread, as under any server. Questions are answered by another
thread, so that an app that blocks its loop can still be asked about.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import logging
import os
import sys
import threading
import time
from multiprocessing.connection import Client, Connection
from typing import Any

import psutil

from course_app.examine.discovery import describe
from course_app.examine.instruments import calls, encoding, locks
from course_app.examine.instruments.report import Window, endpoint_of, place_of
from course_app.examine.instruments.sampler import Sampler
from course_app.examine.instruments.visits import Visits
from course_app.examine.target import CannotExamine, Loaded, Target, load
from course_app.serving.listener import open_listener

KEEP_ALIVE_SECONDS = 300


class Host:
    """Everything in this process that is not the app's."""

    def __init__(self, owner: Connection, loaded: Loaded, *, observed: bool) -> None:
        self._owner = owner
        self._loaded = loaded
        self._observed = observed
        self.visits = Visits(loaded.app)
        self.sampler = Sampler(self.visits)
        self.window = Window(self.visits, self.sampler)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.server: Any = None

    def serve(self) -> None:
        """Run uvicorn in this thread until it is told to end."""
        import uvicorn

        errors = logging.getLogger("uvicorn.error")
        # Until it serves, what fails is what the user wants to read; then it would only take time.
        self._starting = logging.StreamHandler(sys.stderr)
        errors.addHandler(self._starting)
        errors.setLevel(logging.ERROR)
        errors.propagate = False
        config = uvicorn.Config(
            self.visits if self._observed else self._loaded.app,
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        listener = open_listener()
        port = listener.getsockname()[1]
        runner = asyncio.Runner(loop_factory=config.get_loop_factory())
        with runner:
            runner.run(self._serve(listener, port))

    async def _serve(self, listener: Any, port: int) -> None:
        self.loop = asyncio.get_running_loop()
        if self._observed:
            self.loop.set_task_factory(self.visits.make_task)
            await self.sampler.attach()
        serving = asyncio.ensure_future(self.server.serve(sockets=[listener]))
        while not self.server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not self.server.started:
            with contextlib.suppress(Exception, SystemExit):
                serving.result()
            sys.stderr.flush()
            self.tell({"failed": "its lifespan failed"})
            return
        errors = logging.getLogger("uvicorn.error")
        errors.removeHandler(self._starting)
        errors.addHandler(logging.NullHandler())
        gc.collect()
        gc.freeze()
        self.tell({"port": port})
        threading.Thread(target=self.obey, name="examiner", daemon=True).start()
        await serving

    def tell(self, message: dict[str, Any]) -> None:
        """One answer to the owner."""
        self._owner.send_bytes(json.dumps(message, default=str).encode())

    def obey(self) -> None:
        """Answer the owner's questions until it goes away; then end, whatever the app does."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                asked = json.loads(self._owner.recv_bytes())
                if asked["do"] == "end":
                    break
                try:
                    answer = self._answer(asked)
                except Exception as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                self.tell(answer)
        if self.server is not None and self.loop is not None:
            self.server.should_exit = True
            threading.Timer(2.0, lambda: os._exit(0)).start()

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        from course_app.examine.instruments import layers, memory, plans

        if asked["do"] == "describe":
            return describe(self._loaded)
        do, assert_loop = asked["do"], self.loop
        assert assert_loop is not None
        if do == "start":
            self.window.start(asked["period"])
            return {}
        if do == "stop":
            return self.window.stop()
        if do == "held":
            return self.sampler.held_now(places=place_of)
        if do == "memory":
            gc.collect()
            info = psutil.Process().memory_info()
            return {"rss": info.rss, "cpu": time.process_time()}
        if do == "allocations":
            return memory.allocations(asked["what"])
        if do == "layers":
            scope = self.visits.scopes.get(asked["route"])
            status = self.visits.statuses.get(asked["route"], 0)
            return self._on_loop(layers.compare(self._loaded.app, scope, status, asked["seconds"]))
        if do == "encoding":
            found = encoding.alternatives(asked["route"])
            place = endpoint_of(self.visits.endpoints.get(asked["route"]))
            return {**found, "endpoint": place}
        if do == "plans":
            return plans.explain(self.window.kept, asked["dsn"])
        raise ValueError(f"nobody knows how to {do}")

    def _on_loop(self, coroutine: Any) -> dict[str, Any]:
        assert self.loop is not None
        answer: dict[str, Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)
        return answer


def main() -> None:
    """Load the app and serve it; what fails is told to the owner in one sentence."""
    address, described, services = sys.argv[1:4]
    observed = json.loads(sys.argv[4])
    sys.argv[1:] = []
    owner = Client(address, "AF_UNIX")
    try:
        if observed:
            _install()
        target = Target(
            **{**json.loads(described), "search": tuple(json.loads(described)["search"])}
        )
        loaded = load(target, json.loads(services))
    except CannotExamine as error:
        owner.send_bytes(json.dumps({"failed": str(error)}).encode())
        return
    host = Host(owner, loaded, observed=observed)
    try:
        host.serve()
    except BaseException as error:
        sys.stderr.flush()
        # uvicorn leaves in this way where a lifespan fails; it printed why
        lifespan = isinstance(error, SystemExit) and not host.server.started
        why = "its lifespan failed" if lifespan else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            host.tell({"failed": why})
        raise


def _install() -> None:
    """Look at libraries before the app has imported them."""
    from course_app.examine.instruments import layers

    encoding.install()
    calls.install()
    locks.install()
    layers.install()


def arguments(address: str, target: Target, services: dict[str, str], observed: bool) -> list[str]:
    """The command line's end for :func:`main`."""
    told = dataclasses.asdict(target), services, observed
    return [address, *(json.dumps(each) for each in told)]


if __name__ == "__main__":
    main()
