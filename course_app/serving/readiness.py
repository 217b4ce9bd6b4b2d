"""Whether a server answers."""

import http.client

from course_app.serving.listener import LOOPBACK


def answers(port: int, timeout_seconds: float) -> bool:
    """Whether an HTTP request is answered, whatever the status."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
