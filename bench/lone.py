"""Lone requests: one after the other, while nothing else happens."""

import http.client
from collections.abc import Iterable

from bench.timing import Timed, each_now

WARM_UP = 5


class Lone:
    """A client with one connection that is kept.

    Args:
        port: of the service, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, request: bytes) -> int:
        """Send a whole request as `bench.traffic.post` makes it; the status of its answer."""
        head, _, body = request.partition(b"\r\n\r\n")
        method, path = head.decode().split(" ", 2)[:2]
        return self._status(method, path, body)

    def timed(self, requests: Iterable[bytes]) -> Timed[int]:
        """Each request's time; to be warmed up before."""
        return each_now(self.ask, requests)

    def read(self, path: str) -> str:
        """The body of a GET as text."""
        self._sent("GET", path, b"")
        return self._connection.getresponse().read().decode()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _status(self, method: str, path: str, body: bytes) -> int:
        self._sent(method, path, body)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def _sent(self, method: str, path: str, body: bytes) -> None:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
