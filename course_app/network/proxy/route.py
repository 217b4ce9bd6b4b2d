"""The way to one server: where it is, whether it can be reached, and what has been counted."""

from dataclasses import dataclass, field
from enum import StrEnum
from socket import AF_INET, AF_INET6, SOCK_STREAM, AddressFamily, socket
from typing import Protocol


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


class Reach(StrEnum):
    """Whether a server can be reached. SILENT is a cable that was pulled: nobody says no."""

    OPEN = "open"
    CUT = "cut"
    SILENT = "silent"


class Passage(Protocol):
    """A connection that leads to the server."""

    def close(self) -> None: ...
    def freeze(self) -> None: ...


@dataclass
class Route:
    """One server by name, its numeric address, its connections, and what they counted."""

    name: str
    address: str
    port: int
    delay: Delay
    tally: Tally = field(default_factory=Tally)
    reach: Reach = Reach.OPEN
    passages: set[Passage] = field(default_factory=set)

    def socket(self) -> socket:
        """A socket that can be connected to the server."""
        family: AddressFamily = AF_INET6 if ":" in self.address else AF_INET
        return socket(family, SOCK_STREAM)

    def turn(self, reach: Reach) -> None:
        """Take the server away, or bring it back: what was open before ends, or falls silent."""
        self.reach = reach
        for passage in tuple(self.passages):
            if reach is Reach.SILENT:
                passage.freeze()
            else:
                passage.close()

    def failed(self, reason: str) -> None:
        """Note, once, why the server could not be reached."""
        sentence = (
            f"no connection to {self.name} at {self.address}:{self.port} ({reason}): "
            "see whether that server still runs"
        )
        if sentence not in self.tally.failures:
            self.tally.failures.append(sentence)
