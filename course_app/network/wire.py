"""The app's way to its servers, with a tap that counts and a dial that delays."""

import math
import threading
from collections.abc import Mapping

from course_app.network.addresses import LOOPBACK, by_way_of, upstream_of
from course_app.network.counts import WireCounts
from course_app.network.errors import BadDelay, BadUpstream, ProxyEnded
from course_app.network.owner import ProxyProcess
from course_app.network.roundtrip import added_round_trip_ms

#: Longer than any network that one would put a database behind.
MOST_DELAY_MS = 1000.0

#: What the proxy costs is measured with a delay, because waking from sleep is part of it.
CALIBRATION_MS = 1.0
CALIBRATION_EXCHANGES = 25

#: A cost above this is that of a busy machine at this moment, not the proxy's.
MOST_OWN_COST_MS = 0.25

#: The name of the route by which the wire measures itself.
_ITSELF = ""


class Wire:
    """A proxy, in a process of its own, between an app and the servers that it uses.

    The process starts when it is first needed, and ends with its owner, however that ends.
    It listens on 127.0.0.1 only. All calls wait in C, without the interpreter's lock.

    Args:
        upstream_urls: the servers by name, such as ``{"postgres": "postgresql://..."}``.
        delay_ms: how much longer a round trip takes: one half is added on the way to the
            server, the other on the way back. Everything is held equally long, so that
            messages sent ahead stay ahead and bandwidth stays what it was. A connection's
            first round trip takes the delay twice: a real network would have delayed its
            TCP handshake, and a proxy cannot.

    Raises:
        BadUpstream: a URL does not name a TCP server.
        BadDelay: the delay is not between 0 and 1000 ms.
    """

    def __init__(self, upstream_urls: Mapping[str, str], delay_ms: float = 0.0) -> None:
        self._urls = dict(upstream_urls)
        self._upstreams = {name: upstream_of(name, url) for name, url in self._urls.items()}
        self._delay_ms = _checked(delay_ms)
        self._ports: dict[str, int] = {}
        self._proxy: ProxyProcess | None = None
        self._own_cost_ms: float | None = None
        self._closed = False
        self._lock = threading.Lock()

    def url(self, name: str) -> str:
        """The server's URL by way of the proxy; user, password, database and query are kept.

        Raises:
            BadUpstream: no server of that name was given.
            ProxyEnded: the proxy was closed, or has died.
        """
        self._check_name(name)
        self._started()
        return by_way_of(self._ports[name], self._urls[name])

    def counts(self, name: str) -> WireCounts:
        """What passed to and from one server since the start, or since the last ``reset``.

        Complete: whatever was sent before the call is moved and counted first. While traffic
        goes on, the answer comes after a quarter of a second and the delay.

        Raises:
            BadUpstream: no server of that name was given.
            ProxyEnded: the proxy was closed, or has died.
        """
        self._check_name(name)
        answer = self._started().ask("counts", name=name)
        return WireCounts(
            connections=answer["connections"],
            round_trips=answer["round_trips"],
            bytes_up=answer["bytes_up"],
            bytes_down=answer["bytes_down"],
            failures=tuple(answer["failures"]),
        )

    def reset(self) -> None:
        """Count from zero, for all servers; what was sent before belongs to the old counts.

        Raises:
            ProxyEnded: the proxy was closed, or has died.
        """
        self._started().ask("reset")

    @property
    def delay_ms(self) -> float:
        """The added round-trip time. A new value holds for all that is sent from then on."""
        return self._delay_ms

    @delay_ms.setter
    def delay_ms(self, delay_ms: float) -> None:
        _checked(delay_ms)
        self._turn(self._started(), delay_ms)
        self._delay_ms = delay_ms

    def cut(self, name: str) -> None:
        """Take a server away: its connections end at once, and new ones end as they open.

        Raises:
            BadUpstream: no server of that name was given.
            ProxyEnded: the proxy was closed, or has died.
        """
        self._reach(name, "cut")

    def silence(self, name: str) -> None:
        """Pull the cable: connections stay, new ones open, and nothing is ever answered.

        Raises:
            BadUpstream, ProxyEnded: as for :meth:`cut`.
        """
        self._reach(name, "silent")

    def mend(self, name: str) -> None:
        """Bring a server back, with all that it held; connections from before are ended.

        Raises:
            BadUpstream, ProxyEnded: as for :meth:`cut`.
        """
        self._reach(name, "open")

    def measured_delay_ms(self, exchanges: int = 50) -> float:
        """How much longer a round trip really takes than without the proxy, now and here.

        The difference of two medians, of ``exchanges`` single bytes each that go there and
        back on a loopback connection, by way of the proxy and directly, in turns.

        Raises:
            ProxyEnded: the proxy was closed, or has died.
        """
        return _measure(self._started(), exchanges)

    @property
    def pid(self) -> int:
        """The proxy's process id, to see what it costs."""
        return self._started().pid

    def close(self) -> None:
        """End the proxy and all connections through it; may be called again."""
        with self._lock:
            self._closed = True
            if self._proxy is not None:
                self._proxy.end()
                self._proxy = None

    def __enter__(self) -> "Wire":
        self._started()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reach(self, name: str, reach: str) -> None:
        self._check_name(name)
        self._started().ask("reach", name=name, reach=reach)

    def _started(self) -> ProxyProcess:
        with self._lock:
            if self._closed:
                raise ProxyEnded("This wire was closed; make a new one and the apps that use it.")
            if self._proxy is None:
                self._proxy = self._start()
            return self._proxy

    def _start(self) -> ProxyProcess:
        proxy = ProxyProcess()
        try:
            self._turn(proxy, self._delay_ms)
            for name, (host, port) in self._upstreams.items():
                self._ports[name] = proxy.ask("listen", name=name, host=host, port=port)["port"]
        except BaseException:  # an interrupt, too: nobody knows of it yet, who could end it
            proxy.end()
            raise
        return proxy

    def _turn(self, proxy: ProxyProcess, delay_ms: float) -> None:
        """Set the dial. What the proxy costs without holding anything is part of the delay."""
        if delay_ms and self._own_cost_ms is None:
            cost_ms = _measure(proxy, CALIBRATION_EXCHANGES, CALIBRATION_MS) - CALIBRATION_MS
            self._own_cost_ms = min(max(0.0, cost_ms), MOST_OWN_COST_MS)
        own_cost_seconds = (self._own_cost_ms or 0.0) / 1000
        proxy.ask("delay", seconds=delay_ms / 1000, own_cost_seconds=own_cost_seconds)

    def _check_name(self, name: str) -> None:
        if name not in self._urls:
            known = ", ".join(repr(known) for known in self._urls)
            raise BadUpstream(f"This wire leads to {known or 'nothing'}, not to {name!r}.")


def _measure(proxy: ProxyProcess, exchanges: int, delay_ms: float | None = None) -> float:
    """The added round trip, in ms, with the delay that is set or with one for this only."""
    seconds = None if delay_ms is None else delay_ms / 1000

    def by_way_of_proxy(port: int) -> int:
        answer = proxy.ask("listen", name=_ITSELF, host=LOOPBACK, port=port, seconds=seconds)
        return int(answer["port"])

    try:
        return added_round_trip_ms(by_way_of_proxy, exchanges)
    finally:
        proxy.ask("forget", name=_ITSELF)


def _checked(delay_ms: float) -> float:
    if not (math.isfinite(delay_ms) and 0 <= delay_ms <= MOST_DELAY_MS):
        raise BadDelay(
            f"A delay of {delay_ms} ms cannot be had; "
            f"ask for 0 to {MOST_DELAY_MS:,.0f} ms of added round-trip time."
        )
    return delay_ms
