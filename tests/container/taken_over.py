"""Code in a decoder's place, inside of the running container.

Runs in the container as the service's user, and tries what it can against the service itself: its
keys, its code, its table, its models and the network. Prints what came of it as JSON, each attempt
within the sandbox, and those of which it should be known that they work without it, outside.
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from images.schemas import DecodeLimits, Head
from images.workers import process
from images.workers.process import Decoder, DecoderGoneError
from tests.images.workers.taken_over import ATTACKS

_LIMITS = DecodeLimits(1_000_000, 20, 100)
_MEMORY_BYTES = 64 << 20
KEYS = "/keys/keys"
_TABLE = "/data/taken-over"
ON_KEYS = ["read a file", "look for a file", "write over a file"]
WORKING = ["read a file", "look for a file", "open a TCP socket", "connect to a model", "fork"]
"""What the service's user may do as such: the sandbox is what keeps a decoder from it."""


async def _asked(guarded: bool, at: dict[str, object], names: list[str]) -> dict[str, str]:
    """What came of attempts in a decoder's process of its own."""
    entry = (sys.executable, "-P", "-m", "tests.images.workers.taken_over")
    process.COMMAND = (*entry, "0", str(int(guarded)))
    decoder, reply = Decoder(_LIMITS), Head()
    head = {"task": "attack", "memory_bytes": _MEMORY_BYTES, "with": at, "names": names}
    await decoder.ready()
    with suppress(DecoderGoneError):
        reply, _ = await decoder.ask(head, b"", None, 0)
    await decoder.end()
    return dict(reply["outcomes"])


def _within_reach() -> dict[str, object]:
    """What it tries to reach: the service's first process, and the socket of one of its models."""
    Path(_TABLE).write_text("rows")
    (model, *_) = sorted(str(path) for path in Path("/tmp").rglob("*.sock"))
    return {"pid": 1, "socket": model}


async def _all(at: dict[str, object]) -> dict[str, dict[str, str]]:
    return {
        "keys": await _asked(True, {**at, "file": KEYS}, ON_KEYS),
        "all": await _asked(True, {**at, "file": _TABLE}, list(ATTACKS)),
        "without": await _asked(False, {**at, "file": KEYS}, WORKING),
    }


if __name__ == "__main__":
    json.dump(asyncio.run(_all(_within_reach())), sys.stdout)
