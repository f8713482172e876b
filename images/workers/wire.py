"""Wire format between the API's process and a decoder: a head and a body.

    head length (4 bytes) | body length (8 bytes) | head: a JSON object | body: raw bytes

Both numbers are big-endian. Heads are JSON and never pickles, as a decoder reads what strangers
made. A descriptor may travel with a request, never with a reply.
"""

import json
import socket
from struct import Struct
from typing import Any

LENGTHS = Struct(">IQ")
MAX_HEAD_BYTES = 1 << 20
Head = dict[str, Any]
Body = bytes | memoryview


def packed(head: Head, body: Body) -> bytes:
    """All of a message but its body."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return LENGTHS.pack(len(text), len(body)) + text


def receive(channel: socket.socket) -> tuple[Head, bytes, list[int]] | None:
    """Wait for the next request on a blocking socket; None when the other side is gone.

    The descriptors that came with it are the caller's to close.
    """
    whole = socket.MSG_WAITALL
    lengths, fds, _, _ = socket.recv_fds(channel, LENGTHS.size, 1, whole | socket.MSG_CMSG_CLOEXEC)
    if len(lengths) < LENGTHS.size:
        return None
    head_bytes, body_bytes = LENGTHS.unpack(lengths)
    head = channel.recv(head_bytes, whole)
    body = channel.recv(body_bytes, whole) if body_bytes else b""
    if len(head) < head_bytes or len(body) < body_bytes:
        return None
    return json.loads(head), body, fds


def send(channel: socket.socket, head: Head, body: Body) -> None:
    """Send a reply through a blocking socket."""
    start = packed(head, body)
    sent = channel.sendmsg([start, body])  # in one call: the reader is woken once
    if sent < len(start):
        channel.sendall(start[sent:])
    channel.sendall(memoryview(body)[max(0, sent - len(start)) :])
