"""HTTP/1.1 as bytes, as no library would send it."""

import socket
import time
from contextlib import suppress

from demo.process import ServiceProcess

HOST = b"Host: x\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
POST = b"POST /run_object_detection HTTP/1.1\r\n" + JSON


def exchange(service: ServiceProcess, *parts: bytes) -> bytes:
    """Send the parts, each in a packet of its own; all that comes back until it is quiet."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
        for part in parts:
            with suppress(ConnectionError):
                client.sendall(part)
            time.sleep(0.05)
        client.settimeout(0.4)
        got = b""
        try:
            while chunk := client.recv(65_536):
                got += chunk
        except (TimeoutError, ConnectionResetError):  # it may close on what it does not read
            pass
        return got
