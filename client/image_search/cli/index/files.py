"""Files of pictures to upload: found in folders and by globs, identified, and read."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

from image_search.cli.tables.rows import Row, Source, SourceError
from image_search.uploads import upload_url

LARGEST_BYTES = 1 << 30
"""Size of the largest file that a service can be set to accept; its real limit, it says itself."""

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".avif"}
    | {".heic", ".heif", ".hif", ".tif", ".tiff"}
)
"""Extensions of pictures; whether it takes a format, the service says for each."""

HIDDEN, FOLDER_LINK, NO_PICTURE = "hidden", "links to folders", "no pictures"
UNREADABLE = "that cannot be read"
"""Reasons why something in a folder is left out; the last of a file without a picture's extension,
which may be one."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")
_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1"})
_SIGNATURE_BYTES = 16

_WILD = frozenset("*?[")
_ANY_FOLDERS = "**"


class Found(NamedTuple):
    """A picture's file, a folder that cannot be listed, or what is left out, with the reason."""

    path: str
    problem: str = ""
    left_out: str = ""


class _Entry(NamedTuple):
    path: str
    depth: int
    is_folder: bool
    left_out: str = ""


def is_picture(path: str) -> bool:
    """Whether a file is a picture, by its extension or else by how it begins."""
    return not _reason_against_file(path)


def _reason_against_file(path: str) -> str:
    if _is_named_so(path):
        return ""
    try:
        return "" if _begins_so(path) else NO_PICTURE
    except OSError:
        return UNREADABLE


def _begins_so(path: str) -> bool:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe would be waited for
        return False
    with open(path, "rb") as file:  # noqa: PTH123 - a million of them
        head = file.read(_SIGNATURE_BYTES)
    is_bmp = head.startswith(b"BM") and head[6:10] == bytes(4)
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    is_heif = head[4:8] == b"ftyp" and head[8:12] in _BRANDS
    return head.startswith(_SIGNATURES) or is_bmp or is_webp or is_heif


def _is_named_so(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - a million of them


def is_glob(text: str) -> bool:
    """Whether a path has wildcards, and is not itself the name of something that exists."""
    return not _WILD.isdisjoint(text) and not os.path.lexists(text)


def walk(folder: str, deepest: int | None = None) -> Iterator[Found]:
    """The pictures' files under a folder.

    What is hidden is left out, and so are links to folders, which may lead in a circle, and what
    is no picture.

    Args:
        folder: to begin with; may be a link itself.
        deepest: how many folders deep to look, the first one being 1; None for all.
    """
    waiting = [_Entry(folder, 0, True)]
    while waiting:
        entry = waiting.pop()
        if not entry.is_folder:
            yield Found(entry.path, left_out=entry.left_out)
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
        if found.left_out == HIDDEN:
            continue  # no pattern means it
        if found.problem or _match(path.relative_to(base).parts, wanted):
            yield found._replace(path=str(path))


def _listed(folder: _Entry) -> list[_Entry]:
    """What is in a folder, the last one first."""
    with os.scandir(folder.path) as entries:
        seen = sorted(entries, key=lambda entry: entry.name, reverse=True)
    return [
        _Entry(entry.path, folder.depth + 1, not reason and is_folder, reason)
        for entry in seen
        for is_folder in (entry.is_dir(follow_symlinks=False),)
        for reason in (_reason_against(entry, is_folder),)
    ]


def _reason_against(entry: "os.DirEntry[str]", is_folder: bool) -> str:
    if entry.name.startswith("."):
        return HIDDEN
    if is_folder:
        return ""
    if _leads_to_folder(entry):
        return FOLDER_LINK
    return _reason_against_file(entry.path)


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


def listed_again(row: Row, file_key: str) -> Iterator[Row]:
    """A row of a list of failures, or all pictures of the folder that it was of."""
    if not (row.file and os.path.isdir(row.file)):  # noqa: PTH112 - never raises
        yield row
        return
    known = row.metadata if isinstance(row.metadata, dict) else {}
    before = PurePath(str(known.get(file_key, "")))
    for found in folder_source(row.file, file_key).rows:
        own = found.metadata if isinstance(found.metadata, dict) else {}
        named = {file_key: str(before / own[file_key])} if file_key in own else {}
        yield found._replace(line=row.line, metadata={**known, **named} or None)


def loaded(row: Row) -> Row:
    """The row with its file's bytes, or with the reason why it has none."""
    if row.problem or not row.file:
        return row
    try:
        if problem := _fault(os.stat(row.file)):  # noqa: PTH116 - as for a folder's
            return row._replace(problem=problem)
        data = Path(row.file).read_bytes()
    except OSError as error:
        return row._replace(problem=_unreadable(error))
    return row._replace(data=data, url=upload_url(data))


def _source(look: Callable[[], Iterable[Found]], base: PurePath, file_key: str) -> Source:
    """Source of what a look finds; it looks twice, once to count them for the time left."""
    seen = Counter(found.left_out for found in look())
    total = seen.pop("", 0)
    return Source(_rows(look(), base, file_key), total, {}, dict(seen))


def _rows(found: Iterable[Found], base: PurePath, file_key: str) -> Iterator[Row]:
    for number, one in enumerate((one for one in found if not one.left_out), 1):
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
