"""Rows of pictures' files, which are uploaded: what is read of each, and what it is known by."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePath

from api.requests.source import upload_url
from cli.index.walking import Found, matching, walk
from cli.tables.rows import Row, Source, SourceError

LARGEST_BYTES = 1 << 30
"""The largest file that a service can be set to take; what it does take, it says itself."""


def folder_source(folder: str, file_key: str) -> Source:
    """The pictures in a folder and in those below, each called by its path from there.

    Args:
        folder: its path.
        file_key: the metadata key for that path; empty for none.
    """
    return _source(partial(walk, folder), PurePath(folder), file_key)


def glob_source(pattern: str, file_key: str) -> Source:
    """The pictures that a glob matches, each called by its path as a shell would write it.

    Raises:
        SourceError: there is none.
    """
    source = _source(partial(matching, pattern), PurePath(), file_key)
    if not source.total:
        raise SourceError(f"{pattern} matches no picture")
    return source


def file_source(path: str, file_key: str) -> Source:
    """One picture, called by its path as it was given."""
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
    """Looks twice: once to count, so that how long it takes can be told."""
    return Source(_rows(look(), base, file_key), sum(1 for _ in look()), {})


def _rows(found: Iterable[Found], base: PurePath, file_key: str) -> Iterator[Row]:
    for number, one in enumerate(found, 1):
        path = PurePath(one.path)
        name = _name(path.relative_to(base) if path.is_relative_to(base) else path)
        key, problem = ("", one.problem) if one.problem else _known(one.path, name)
        metadata = {file_key: name} if file_key else None
        yield Row(number, "", metadata, problem, key, one.path)


def _known(path: str, name: str) -> tuple[str, str]:
    """What a file is known by, and what is wrong with it.

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
