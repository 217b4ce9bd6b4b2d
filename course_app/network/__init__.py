"""The network between an app and its servers: counted by a tap, delayed by a dial."""

from course_app.network.counts import WireCounts
from course_app.network.errors import BadDelay, BadUpstream, NetworkError, ProxyEnded
from course_app.network.wire import Wire

__all__ = ["BadDelay", "BadUpstream", "NetworkError", "ProxyEnded", "Wire", "WireCounts"]
