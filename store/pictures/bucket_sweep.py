"""Removes the files of pictures in an object store that no table needs: marked first.

A mark is an empty object of its own, as nothing can be renamed there; its age is that of the mark.
What is marked is still read. The ages are by the store's own clock.

A picture that comes again in the very moment in which its file is removed, after an hour as one
that nobody needed, loses it: it was looked at last just before, and a store has no lock.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from store.pictures.bucket import path_of
from store.pictures.files import COLUMNS, FOLDER, KEY, Kind
from store.pictures.sweep import SETTLED_S, Prefixes, key_prefixes, used
from store.table.remote.bucket import bucket_at

if TYPE_CHECKING:
    from obstore.store import S3Store

_MARKS = "unused"
_CLOCK = f"{FOLDER}/swept"
_TABLE = ".lance"


def sweep_bucket(
    uri: str, options: dict[str, str] | None, keep: timedelta, settled_s: float = SETTLED_S
) -> int:
    """Looks through the files of a store once. Blocks.

    Every table counts, as in `store.pictures.sweep.sweep_pictures`.

    Args:
        uri: of the store.
        options: of its tables.
        keep: how long versions of the table can bring an image back.
        settled_s: age from which a file counts.

    Returns:
        How many files were removed.
    """
    bucket = bucket_at(uri)
    folders = bucket.list_with_delimiter()["common_prefixes"]
    tables = [f"{uri}/{each}" for each in folders if _is_table(bucket, each)]
    if not tables:
        return 0
    settled = timedelta(seconds=settled_s)
    ages = _Ages(bucket, settled, max(keep, settled))
    return sum(
        _sweep(bucket, kind, used(tables, column, options), ages)
        for kind, column in COLUMNS.items()
    )


class _Ages:
    """How old files are, by the clock of their store."""

    def __init__(self, bucket: "S3Store", settled: timedelta, keep: timedelta) -> None:
        bucket.put(_CLOCK, b"")
        self._now: datetime = bucket.head(_CLOCK)["last_modified"]
        self._settled, self._keep = settled, keep

    def is_settled(self, written: datetime) -> bool:
        """Whether a file of no image is old enough to be marked."""
        return self._now - written >= self._settled

    def is_due(self, marked: datetime) -> bool:
        """Whether a mark is so old that no version needs its file."""
        return self._now - marked >= self._keep


def _is_table(bucket: "S3Store", folder: str) -> bool:
    """Whether it is a table; what is left of one that was not quite made or deleted is none."""
    if not folder.rstrip("/").endswith(_TABLE):
        return False
    return any(page for page in bucket.list(f"{folder.rstrip('/')}/_versions/"))


def _sweep(bucket: "S3Store", kind: Kind, needed: Prefixes, ages: _Ages) -> int:
    """Marks, unmarks and removes what is due of one kind; how many files were removed."""
    files, marks = _listed(bucket, kind), _listed(bucket, f"{_MARKS}/{kind}")
    found = np.isin(key_prefixes(files), needed).tolist()
    unneeded = {key for key, is_needed in zip(files, found, strict=True) if not is_needed}
    for key in unneeded - marks.keys():
        if ages.is_settled(files[key]):
            bucket.put(path_of(f"{_MARKS}/{kind}", key), b"")
    over = {key for key, at in marks.items() if key not in unneeded or files[key] > at}
    due = {key for key, at in marks.items() if key not in over and ages.is_due(at)}
    removed = [key for key in due if _is_as_old(bucket, path_of(kind, key), marks[key])]
    _delete(bucket, [path_of(kind, key) for key in removed])
    _delete(bucket, [path_of(f"{_MARKS}/{kind}", key) for key in over | due])
    return len(removed)


def _listed(bucket: "S3Store", folder: str) -> Mapping[str, datetime]:
    """When each file of a folder was written last, by its key."""
    return {
        key: each["last_modified"]
        for page in bucket.list(f"{FOLDER}/{folder}/")
        for each in page
        if KEY.fullmatch(key := each["path"].rpartition("/")[2])
    }


def _is_as_old(bucket: "S3Store", path: str, marked: datetime) -> bool:
    """Whether nobody has written the file since it was marked."""
    try:
        at: datetime = bucket.head(path)["last_modified"]
    except FileNotFoundError:
        return False
    return at <= marked


def _delete(bucket: "S3Store", paths: Iterable[str]) -> None:
    if some := list(paths):
        bucket.delete(some)
