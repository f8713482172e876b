"""A process that decodes: `python -m images.workers.main LIMITS PARENT`, a socket as its input.

LIMITS are those of `DecodeLimits` as a JSON object, PARENT is the id of the process that started
this one. It imports what decoding needs and nothing of the service: no settings, no keys, no
table. `images.workers.process` is the other side.
"""

import gc
import json
import os
import socket
import sys

from images.schemas import DecodeLimits
from images.workers.limits import confine
from images.workers.tasks import Tasks
from images.workers.wire import receive, send


def serve(channel: socket.socket, tasks: Tasks) -> None:
    """Answer requests until the other side is gone."""
    while (request := receive(channel)) is not None:
        head, body, fds = request
        try:
            reply = tasks.answer(head, body, fds[0] if fds else None)
        finally:
            for fd in fds:
                os.close(fd)
        del body, request
        send(channel, *reply)
        del reply


def main(limits_json: str, parent: str) -> None:
    """Give up what is not needed, say that this process is ready, and serve."""
    limits = DecodeLimits(**json.loads(limits_json))
    confine(int(parent), max_file_bytes=3 * limits.max_image_pixels)
    channel = socket.socket(fileno=sys.stdin.fileno())
    _close_errors()
    gc.freeze()
    send(channel, {"ready": True}, b"")
    serve(channel, Tasks(limits))


def _close_errors() -> None:
    """From here on only decoders would write there; what kept this process from starting has."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
