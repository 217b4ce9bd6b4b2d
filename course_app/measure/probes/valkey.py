"""What Valkey did: commands, round trips, connections, hits, misses, CPU."""

from collections.abc import Sequence

import redis

from course_app.measure.probes import Reading


class ValkeyProbe:
    """Counts what the whole Valkey server did, from ``INFO``; its own calls are taken off.

    What a client sends in one go, a pipeline too, Valkey reads in one go: a round trip. What a
    script calls counts as commands.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._read()

    def start(self) -> None:
        """Begin to count."""
        self._before = self._read()

    def stop(self) -> Sequence[Reading]:
        """What came since ``start``."""
        after = self._read()
        delta = {name: after[name] - self._before[name] for name in after}
        # INFO itself is a command: the first of the two readings is part of the difference.
        commands = delta["total_commands_processed"] - 1
        if commands <= 0:
            return []  # its CPU then is what any idle server uses, and would only distract
        return [
            Reading("Valkey commands", commands),
            Reading("Valkey round trips", delta["total_reads_processed"] - 1),
            Reading("Valkey connections opened", delta["total_connections_received"]),
            Reading("cache hits", delta["keyspace_hits"]),
            Reading("cache misses", delta["keyspace_misses"]),
            Reading("Valkey CPU", delta["cpu_seconds"] * 1e6, unit="µs"),
        ]

    def close(self) -> None:
        """Give the probe's connection back."""
        self._client.close()

    def _read(self) -> dict[str, float]:
        info = self._client.info("everything")
        names = (
            "total_commands_processed",
            "total_reads_processed",
            "total_connections_received",
            "keyspace_hits",
            "keyspace_misses",
        )
        cpu = info["used_cpu_user"] + info["used_cpu_sys"]
        return {**{name: float(info[name]) for name in names}, "cpu_seconds": float(cpu)}
