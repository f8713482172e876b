"""Files of pictures to upload: found in folders and by globs, identified, and read."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

from api.requests.source import upload_url
from cli.tables.rows import Row, Source, SourceError

LARGEST_BYTES = 1 << 30
"""Size of the largest file that a service can be set to accept; its real limit, it says itself."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".avif"}
    | {".heic", ".heif", ".hif", ".tif", ".tiff"}
)
"""Extensions of the formats that the service accepts."""

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
    """Whether a file's name is that of a picture."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - a million of them


def is_glob(text: str) -> bool:
    """Whether a path has wildcards, and is not itself the name of something that exists."""
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
    """Pictures and folders in a folder, the last one first."""
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


def folder_source(folder: str, file_key: str) -> Source:
    """The pictures in a folder and in those below, each named by its path from there."""
    return _source(partial(walk, folder), PurePath(folder), file_key)


def glob_source(pattern: str, file_key: str) -> Source:
    """The pictures that a glob matches, each named by its path as a shell would write it.

    Raises:
        SourceError: there is none.
    """
    source = _source(partial(matching, pattern), PurePath(), file_key)
    if not source.total:
        raise SourceError(f"{pattern} matches no picture")
    return source


def file_source(path: str, file_key: str) -> Source:
    """One picture, named by its path as it was given."""
    return _source(lambda: [Found(path)], PurePath(), file_key)


def loaded(row: Row) -> Row:
    """The row with its file's bytes, or with the reason why it has none."""
    if row.problem or not row.file:
        return row
    try:
        data = Path(row.file).read_bytes()
    except OSError as error:
        return row._replace(problem=_unreadable(error))
    return row._replace(data=data, url=upload_url(data))


def _source(look: Callable[[], Iterable[Found]], base: PurePath, file_key: str) -> Source:
    """Source of what a look finds; it looks twice, once to count them for the time left."""
    return Source(_rows(look(), base, file_key), sum(1 for _ in look()), {})


def _rows(found: Iterable[Found], base: PurePath, file_key: str) -> Iterator[Row]:
    for number, one in enumerate(found, 1):
        path = PurePath(one.path)
        name = _name(path.relative_to(base) if path.is_relative_to(base) else path)
        key, problem = ("", one.problem) if one.problem else _known(one.path, name)
        metadata = {file_key: name} if file_key else None
        yield Row(number, "", metadata, problem, key, one.path)


def _known(path: str, name: str) -> tuple[str, str]:
    """A file's key in the state, and what is wrong with it.

    A file that has changed is another one, and so is one that is to be called otherwise.
    """
    try:
        seen = os.stat(path)  # noqa: PTH116 - a million of them
    except OSError as error:
        return "", _unreadable(error)
    parts = (os.path.abspath(path), name, str(seen.st_size), str(seen.st_mtime_ns))  # noqa: PTH100
    digest = hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=16)
    return digest.hexdigest(), _fault(seen)


def _fault(seen: os.stat_result) -> str:
    if not stat.S_ISREG(seen.st_mode):
        return "it is no regular file"
    if not seen.st_size:
        return "the file is empty"
    if seen.st_size > LARGEST_BYTES:
        return f"the file has {seen.st_size:,} bytes; no service takes more than {LARGEST_BYTES:,}"
    return ""


def _name(path: PurePath) -> str:
    """The path as valid Unicode; file systems take any bytes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _unreadable(error: OSError) -> str:
    return f"the file cannot be read: {error.strerror or error}"
