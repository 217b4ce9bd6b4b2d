"""One connection of the app, and the connection to the server that belongs to it."""

import errno
import os
import time
from socket import SO_ERROR, SOL_SOCKET, socket

from course_app.network.proxy.agenda import Agenda
from course_app.network.proxy.end import End
from course_app.network.proxy.flow import Flow
from course_app.network.proxy.poller import Poller
from course_app.network.proxy.route import Route
from course_app.system.poller import READ, WRITE


class Link:
    """Takes a connection that was accepted, opens the other one, and lets both flow.

    The app's TCP handshake is answered by this machine's kernel at once, before a proxy knows
    of it. What a real handshake costs, one round trip, is therefore paid by the first bytes:
    they count as sent no earlier than one round trip after the connection was accepted.

    Round trips are counted where the app is: an answer counts once it is on its way to the
    app, so that requests sent ahead of a delayed answer belong to one round trip.
    """

    def __init__(self, client: socket, route: Route, poller: Poller, agenda: Agenda) -> None:
        self._route, self._agenda = route, agenda
        self._established = time.perf_counter() + route.delay.round_trip_seconds
        self._connecting = True
        self._closed = False
        self._server_spoke = True
        self._directions_over = 0
        self._client = End(poller, client, self._client_ready)
        self._server = End(poller, route.socket(), self._server_ready)
        self._up = Flow(self._client, self._server, agenda, self._over, count_read=self._went_up)
        self._down = Flow(
            self._server, self._client, agenda, self._over, count_written=self._came_down
        )
        route.tally.connections += 1
        route.passages.add(self)
        self._connect()

    def _connect(self) -> None:
        code = self._server.sock.connect_ex((self._route.address, self._route.port))
        if code == errno.EINPROGRESS:
            self._client.want(READ, True)
            self._server.want(WRITE, True)
        else:
            self._connected(code)

    def _connected(self, code: int) -> None:
        self._connecting = False
        if code:
            self._route.failed(os.strerror(code))
            self._server.want(WRITE, False)
            # A refusal, too, takes a round trip to arrive.
            self._agenda.add(self._established, lambda _now: self.close())
            return
        now = time.perf_counter()
        self._up.open(now)
        self._down.open(now)

    def _client_ready(self, events: int) -> None:
        now = time.perf_counter()
        if events & WRITE:
            self._down.write(now)
        if events & READ:
            self._up.read(now, self._due(now))

    def _server_ready(self, events: int) -> None:
        if self._connecting and not self._closed:
            self._connected(self._server.sock.getsockopt(SOL_SOCKET, SO_ERROR))
            return
        now = time.perf_counter()
        if events & WRITE:
            self._up.write(now)
        if events & READ:
            self._down.read(now, self._due(now))

    def _due(self, now: float) -> float:
        return max(now, self._established) + self._route.delay.one_way_seconds

    def _went_up(self, size_bytes: int) -> None:
        tally = self._route.tally
        tally.bytes_up += size_bytes
        tally.round_trips += self._server_spoke
        self._server_spoke = False

    def _came_down(self, size_bytes: int) -> None:
        self._route.tally.bytes_down += size_bytes
        self._server_spoke = True

    def _over(self, in_order: bool) -> None:
        self._directions_over += 1
        if not in_order or self._directions_over == 2:
            self.close()

    def freeze(self) -> None:
        """Keep both connections open, and pass nothing on any more."""
        self._closed = True
        self._up.stop()
        self._down.stop()
        self._client.ignore()
        self._server.ignore()

    def close(self) -> None:
        """End both connections, whatever is still under way."""
        self._route.passages.discard(self)
        self._closed = True
        self._up.stop()
        self._down.stop()
        self._client.close()
        self._server.close()
