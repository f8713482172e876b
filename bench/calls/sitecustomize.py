"""Call recorder: counts the project's own function calls in a process, while a flag is set.

Python imports a module of this name at every start (`site`), so that with this folder on
`PYTHONPATH` each worker of a service records itself. Counting is on while the first byte of the
file `CALLS_FLAG` is 1; when it goes back to 0 the counts are written beside it, as JSON.
Coroutines and generators count when they are called, not when they are resumed.
"""

import json
import mmap
import os
import sys
import threading
import time
from collections import Counter
from dis import opmap
from types import CodeType, FrameType

_FLAG = os.environ.get("CALLS_FLAG")
_ROOT = os.environ.get("CALLS_ROOT", "")
_ROOMS = tuple(
    f"{_ROOT}/{room}" for room in ("api/", "images/", "runners/", "store/", "service.py")
)
_POLL_S = 0.05


def _first(code: CodeType) -> int:
    """Offset of the instruction at which a frame of `code` enters, but for resumed ones."""
    names = code.co_code[::2]
    return 2 * names.index(opmap["RESUME"])


def _record(flag: mmap.mmap, folder: str) -> None:
    counts: Counter[CodeType] = Counter()
    starts: dict[CodeType, int] = {}

    def on_event(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or flag[0] != 1:
            return
        code = frame.f_code
        if not code.co_filename.startswith(_ROOMS) or code.co_name.startswith("<"):
            return
        start = starts.get(code)
        if start is None:
            start = starts[code] = _first(code)
        # A coroutine's frame passes RESUME once, when it first runs.
        if frame.f_lasti <= start:
            counts[code] += 1

    def write() -> None:
        rows = [
            (code.co_filename.removeprefix(_ROOT + "/"), code.co_qualname, count)
            for code, count in counts.items()
        ]
        path = f"{folder}/{os.getpid()}-{time.monotonic_ns()}.json"
        with open(path + ".part", "w") as file:  # noqa: PTH123 - before pathlib is worth importing
            json.dump({"command": sys.argv, "calls": rows}, file)
        os.replace(path + ".part", path)  # noqa: PTH105
        counts.clear()

    def watch() -> None:
        before = 0
        while True:
            time.sleep(_POLL_S)
            now = flag[0]
            if before == 1 and now == 0:
                write()
            before = now

    threading.Thread(target=watch, daemon=True).start()
    threading.setprofile(on_event)
    sys.setprofile(on_event)


if _FLAG:
    with open(_FLAG, "rb") as _file:  # noqa: PTH123
        _record(mmap.mmap(_file.fileno(), 1, prot=mmap.PROT_READ), os.path.dirname(_FLAG))  # noqa: PTH120
