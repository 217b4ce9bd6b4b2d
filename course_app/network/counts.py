"""What passed through the proxy, counted."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class WireCounts:
    """Connections, round trips and bytes between an app and one server.

    Attributes:
        connections: connections that the app opened.
        round_trips: how often the app sent something after it had last been sent something,
            or for the first time on its connection. Messages sent in one go count once. A
            farewell (PostgreSQL's Terminate) counts too: the server answers it by closing.
            Only of an app that goes on sending while answers already arrive, such as a
            pipeline of megabytes, more are counted than it waits for.
        bytes_up: payload bytes from the app to the server.
        bytes_down: payload bytes from the server to the app.
        failures: why connections to the server failed, a sentence each, none twice.
        divided: whether the numbers are per request.
    """

    connections: float
    round_trips: float
    bytes_up: float
    bytes_down: float
    failures: tuple[str, ...] = ()
    divided: bool = False

    def per(self, requests: float) -> "WireCounts":
        """The same counts divided by a number of requests.

        Raises:
            ValueError: ``requests`` is not positive.
        """
        if not requests > 0:
            raise ValueError(f"counts cannot be divided by {requests} requests")
        return replace(
            self,
            connections=self.connections / requests,
            round_trips=self.round_trips / requests,
            bytes_up=self.bytes_up / requests,
            bytes_down=self.bytes_down / requests,
            divided=True,
        )

    def __str__(self) -> str:
        digits, end = (".1f", " per request") if self.divided else (",.0f", "")
        text = (
            f"{self.round_trips:{digits}} round trips, {self.connections:{digits}} connections, "
            f"{self.bytes_up:,.0f} B up, {self.bytes_down:,.0f} B down{end}"
        )
        return "; ".join((text, *self.failures))
