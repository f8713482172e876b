"""What kind of CPU this is, without asking torch."""

import json
import platform
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_NAMES = ("model name", "flags", "CPU implementer", "CPU part", "Features")
_BF16 = {"avx512_bf16", "amx_bf16"}


def cpu(info: Path = _INFO) -> str:
    """What tells one kind of CPU from another: its name and instructions, as far as is known."""
    known = _known(info)
    return json.dumps([platform.machine(), *(known.get(name, "") for name in _NAMES)])


def multiplies_bf16(info: Path = _INFO) -> bool:
    """Whether it has instructions for products of bf16 that torch uses.

    Without them torch computes bf16, too, but by way of fp32 and slower.
    """
    return not _BF16.isdisjoint(_known(info).get("flags", "").split())


def _known(info: Path) -> dict[str, str]:
    """The first core's lines of a file as Linux has it; nothing elsewhere."""
    try:
        lines = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line]
    except OSError:
        lines = []
    return {name.strip(): value.strip() for name, value in reversed(lines)}
