"""Control groups: the limits of memory and processors of a container, or of a systemd unit.

Both versions of Linux' cgroups, as the kernel tells them (cgroups(7)): version 2 has one folder for
all, version 1 one for each controller. A limit holds for all groups below it, so that the lowest of
this process's group and of those above counts. What cannot be read limits nothing: in a container
its own group is what is mounted, whatever /proc calls it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def memory_limit(mount: Path = MOUNT, own: Path = OWN) -> int | None:
    """Bytes of memory that this process and those beside it may have; None without a limit.

    Version 1 tells of none as a number beyond every memory.
    """
    files = {"": "memory.max", "memory": "memory.limit_in_bytes"}
    read = (
        numbers[0]
        for controller, file in files.items()
        for folder in _groups(controller, mount, own)
        if (numbers := _numbers([folder / file]))
    )
    return min(read, default=None)


def processor_quota(mount: Path = MOUNT, own: Path = OWN) -> float | None:
    """Processors' time that this process and those beside it may have, in processors; or None."""
    files = {"": ["cpu.max"], "cpu": ["cpu.cfs_quota_us", "cpu.cfs_period_us"]}
    read = (
        numbers[0] / numbers[1]
        for controller, names in files.items()
        for folder in _groups(controller, mount, own)
        if len(numbers := _numbers(folder / name for name in names)) == 2 and numbers[0] > 0
    )
    return min(read, default=None)


def _groups(controller: str, mount: Path, own: Path) -> Iterator[Path]:
    """Folders of this process's group and of those above, of a controller; "" is version 2."""
    top = mount / controller
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        lines = []
    for line in lines:
        if len(line) < 3 or controller not in line[1].split(","):
            continue
        path = PurePosixPath(line[2].lstrip("/"))
        yield from (top / each for each in (path, *path.parents) if ".." not in each.parts)
    yield top


def _numbers(files: Iterable[Path]) -> list[int]:
    """All numbers in files; none where one cannot be read, or has a word ("max")."""
    try:
        return [int(each) for file in files for each in file.read_text().split()]
    except (OSError, ValueError):
        return []
