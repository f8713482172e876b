"""The pictures' files in a folder, in the order of their names, whatever else lies there."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import NamedTuple

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".avif"}
)
"""Of the formats that the service takes."""

_WILD = frozenset("*?[")
_ANY_FOLDERS = "**"


class Found(NamedTuple):
    """A picture's file, or a folder that cannot be listed, with the reason."""

    path: str
    problem: str = ""


class _Entry(NamedTuple):
    path: str
    depth: int
    is_folder: bool


def is_picture(name: str) -> bool:
    """Whether a file is called as pictures are."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - a million of them


def is_glob(text: str) -> bool:
    """Whether a path has wildcards, and is not the name of something that is there."""
    return not _WILD.isdisjoint(text) and not os.path.lexists(text)


def walk(folder: str, deepest: int | None = None) -> Iterator[Found]:
    """The pictures' files under a folder.

    What is hidden is left out, and so are links to folders: they may lead in a circle.

    Args:
        folder: to begin with; may be a link itself.
        deepest: how many folders deep to look, the first one being 1; None for all.
    """
    waiting = [_Entry(folder, 0, True)]
    while waiting:
        entry = waiting.pop()
        if not entry.is_folder:
            yield Found(entry.path)
        elif deepest is None or entry.depth < deepest:
            try:
                waiting += _listed(entry)
            except OSError as error:
                yield Found(entry.path, f"the folder cannot be listed: {error.strerror or error}")


def matching(pattern: str) -> Iterator[Found]:
    """The pictures' files that a glob matches; `**` stands for any folders, or none."""
    parts = PurePath(pattern).parts
    wild = next(place for place, part in enumerate(parts) if not _WILD.isdisjoint(part))
    base, wanted = PurePath(*parts[:wild]), parts[wild:]
    for found in walk(str(base), None if _ANY_FOLDERS in wanted else len(wanted)):
        path = PurePath(found.path)
        if found.problem or _match(path.relative_to(base).parts, wanted):
            yield Found(str(path), found.problem)


def _listed(folder: _Entry) -> list[_Entry]:
    """What is to be looked at in a folder, the last one first."""
    with os.scandir(folder.path) as entries:
        seen = sorted(entries, key=lambda entry: entry.name, reverse=True)
    shown = [entry for entry in seen if not entry.name.startswith(".")]
    return [
        _Entry(entry.path, folder.depth + 1, is_folder)
        for entry in shown
        if (is_folder := entry.is_dir(follow_symlinks=False))
        or (is_picture(entry.name) and not _leads_to_folder(entry))
    ]


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_symlink() and os.path.isdir(entry.path)  # noqa: PTH112 - never raises


def _match(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == _ANY_FOLDERS:
        return any(_match(parts[skipped:], wanted[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _match(parts[1:], wanted[1:])
