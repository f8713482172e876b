"""The image's health check: whether the service on this container's port 3000 is ready."""

import sys
from http.client import HTTPConnection, HTTPException

PORT = 3000
_ANSWER_S = 4.0


def is_ready(port: int = PORT) -> bool:
    """Ask `/readyz`, which needs no API key."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready() else 1)
