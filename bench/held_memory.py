"""What a process holds in memory, from `/proc`: shared, its own, and of which libraries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_MIB = 1 << 20
_HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")
FAMILIES: Mapping[str, re.Pattern[str]] = {
    "CUDA": re.compile(r"/(nvidia|triton)/|libtorch_cuda|libc10_cuda|/libcu\w+\.so|/libnv\w+\.so"),
    "torch": re.compile(r"/torch/|/torchvision/"),
    "LanceDB": re.compile(r"/lancedb/|/lance/"),
    "Arrow": re.compile(r"/pyarrow/"),
    "OpenCV": re.compile(r"/cv2/|/opencv"),
    "Pillow": re.compile(r"/PIL/|/pillow"),
}
"""Libraries by the paths of their files; the first that fits counts."""


@dataclass(frozen=True)
class Held:
    """Memory of a process, in MiB.

    Attributes:
        rss: all that is resident.
        pss: the same, what is shared counted in parts; those of all processes add up.
        uss: what would be free if it ended.
        libraries: resident parts of the files of each family that is mapped at all.
    """

    rss: float
    pss: float
    uss: float
    libraries: dict[str, float]


def held(process: psutil.Process) -> Held:
    """What it holds now.

    Raises:
        psutil.Error: it is gone.
        OSError: likewise.
    """
    memory = process.memory_full_info()
    smaps = Path(f"/proc/{process.pid}/smaps").read_text(encoding="utf-8", errors="replace")
    parts = (memory.rss / _MIB, memory.pss / _MIB, memory.uss / _MIB)
    return Held(*parts, libraries(smaps))


def libraries(smaps: str) -> dict[str, float]:
    """Resident MiB by family, from the text of `/proc/PID/smaps`.

    A family that is mapped but not resident has 0; one that is not mapped is left out.
    """
    found: dict[str, float] = {}
    family: str | None = None
    for line in smaps.splitlines():
        if _HEADER.match(line):
            family = _family(line.split(maxsplit=5)[-1])
            if family is not None:
                found.setdefault(family, 0.0)
        elif family is not None and line.startswith("Rss:"):
            found[family] += int(line.split()[1]) / 1024
    return found


def _family(path: str) -> str | None:
    fitting = (name for name, pattern in FAMILIES.items() if pattern.search(path))
    return next(fitting, None)
