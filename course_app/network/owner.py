"""The owner's end of the proxy process."""

import threading
from typing import Any

from course_app.network.errors import ProxyEnded
from course_app.worker.frames import Header
from course_app.worker.owner import Worker, WorkerEnded


class ProxyProcess:
    """One running proxy. Questions are answered in order, one at a time."""

    def __init__(self) -> None:
        self._worker = Worker("course_app.network.proxy.process")
        self._lock = threading.Lock()
        self.pid = self._worker.pid
        self.end = self._worker.end

    def ask(self, do: str, **details: Any) -> Header:
        """Have something done; blocks until it is.

        Raises:
            ProxyEnded: the process is gone.
        """
        with self._lock:
            try:
                return self._worker.ask({"do": do, **details})[0]
            except (WorkerEnded, OSError, ValueError) as error:
                how = error if isinstance(error, WorkerEnded) else f"has ended ({error})"
                raise ProxyEnded(
                    f"The network proxy {how}; make a new one and the apps that use it."
                ) from None
