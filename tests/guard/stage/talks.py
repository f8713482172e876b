"""How a server can behave badly, as talks for `tests.guard.stage.site`."""

import socket
import struct
import time

from tests.guard.stage.site import Talk, requested_path

_LONGER_THAN_ANYONE_WAITS = 60


def endless(start: bytes, piece: bytes) -> Talk:
    """Send the start, and then the piece for ever."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece * (65536 // len(piece)))

    return talk


def dripping(start: bytes, piece: bytes = b"", every_s: float = 0.1) -> Talk:
    """Send the start, and then a little now and again; nothing at all without a piece."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        end = time.monotonic() + _LONGER_THAN_ANYONE_WAITS
        while time.monotonic() < end:
            time.sleep(every_s)
            connection.sendall(piece)

    return talk


def late(answer: bytes, after_s: float) -> Talk:
    """Think for a while."""

    def talk(connection: socket.socket) -> None:
        time.sleep(after_s)
        connection.sendall(answer)

    return talk


def in_pieces(answer: bytes, size: int) -> Talk:
    """Send a few bytes at a time."""

    def talk(connection: socket.socket) -> None:
        for start in range(0, len(answer), size):
            connection.sendall(answer[start : start + size])

    return talk


def reset_after(start: bytes) -> Talk:
    """Send the start and slam the door (RST)."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        time.sleep(0.2)  # so that the start arrives before the reset discards it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return talk


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A complete answer in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + end


def keeping(*answers: bytes) -> Talk:
    """Keep the connection, and give each request on it the next answer."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(answers[0])
        for answer in answers[1:]:
            if requested_path(connection) is None:
                return
            connection.sendall(answer)

    return talk
