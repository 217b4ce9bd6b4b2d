"""The way to one server: where it is, and what has been counted on the way."""

from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, SOCK_STREAM, AddressFamily, socket


@dataclass
class Tally:
    """What has been counted since the last reset; the fields of ``WireCounts``."""

    connections: int = 0
    round_trips: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Delay:
    """The dial: how much longer a round trip takes, and what of that the proxy itself costs."""

    round_trip_seconds: float = 0.0
    own_cost_seconds: float = 0.0

    @property
    def one_way_seconds(self) -> float:
        """How long to hold what passes: half of what the proxy does not cost anyway."""
        return max(0.0, self.round_trip_seconds - self.own_cost_seconds) / 2


@dataclass
class Route:
    """One server by name, its numeric address, and the counts of its connections."""

    name: str
    address: str
    port: int
    delay: Delay
    tally: Tally = field(default_factory=Tally)

    def socket(self) -> socket:
        """A socket that can be connected to the server."""
        family: AddressFamily = AF_INET6 if ":" in self.address else AF_INET
        return socket(family, SOCK_STREAM)

    def failed(self, reason: str) -> None:
        """Note, once, why the server could not be reached."""
        sentence = (
            f"no connection to {self.name} at {self.address}:{self.port} ({reason}): "
            "see whether that server still runs"
        )
        if sentence not in self.tally.failures:
            self.tally.failures.append(sentence)
