"""HTTP/1.1 as bytes, as no library would send it."""

import re
import socket
import time
from contextlib import suppress

from demo.process import ServiceProcess

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
POST = b"POST /run_object_detection HTTP/1.1\r\n" + JSON
_LENGTH = re.compile(rb"^content-length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_INTERIM = re.compile(rb"HTTP/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n")


def exchange(service: ServiceProcess, *parts: bytes, to_the_end: bool = False) -> bytes:
    """Send the parts, each in a packet of its own; the whole answer that comes back.

    Args:
        service: to send them to.
        parts: of one request, or of several.
        to_the_end: take all that comes until the service closes the connection.
    """
    has_body = not parts[0].startswith(b"HEAD ")
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        for part in parts:
            with suppress(ConnectionError):
                client.sendall(part)
            time.sleep(0.02)
        got = b""
        with suppress(ConnectionResetError):  # it may close on what it does not read
            while (to_the_end or not _is_whole(got, has_body)) and (chunk := client.recv(65_536)):
                got += chunk
        return got


def _is_whole(got: bytes, has_body: bool) -> bool:
    """Whether an answer has come to its end; not told of one that ends with the connection."""
    head, end, body = _INTERIM.sub(b"", got).partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r")
    return bool(end) and not (has_body and (length is None or len(body) < int(length[1])))
