"""Pictures' files in an object store, beside the table there: thumbnails and originals.

As in a folder (`store.pictures.files`) a file is called by what is in it. Writing one again makes
it young again. Thumbnails that were read lately stay in memory, as each read is a request.
"""

import threading
from collections import OrderedDict

from store.pictures.files import FOLDER, KEY, Kind, PictureFiles, Pictures
from store.table.disk.location import Location
from store.table.remote.bucket import SCHEME, bucket_at

CACHE_BYTES = 32 << 20


class PictureBucket:
    """The files beside a table in an object store. All of it blocks; for any number of threads.

    Args:
        uri: of the store, ``s3://bucket/prefix``.
        cache_bytes: of thumbnails in memory.
    """

    def __init__(self, uri: str, cache_bytes: int = CACHE_BYTES) -> None:
        self._bucket = bucket_at(uri)
        self._cache = _Cache(cache_bytes)

    def write(self, kind: Kind, key: str, data: bytes) -> None:
        """Stores a file; the same one twice is stored once."""
        self._bucket.put(path_of(kind, key), data)

    def read(self, kind: Kind, key: str) -> bytes | None:
        """The content of a file, or None."""
        if not KEY.fullmatch(key):
            return None
        data = self._cache.get(key) if kind == "thumbnails" else None
        if data is None:
            try:
                data = bytes(self._bucket.get(path_of(kind, key)).bytes())
            except FileNotFoundError:
                return None
            if kind == "thumbnails":
                self._cache.put(key, data)
        return data

    def keeps(self, kind: Kind, key: str) -> bool:
        """Whether there is a file of this name, which stays then for a row that is to name it."""
        if (data := self.read(kind, key)) is None:
            return False
        self.write(kind, key, data)  # it counts as young again
        return True


class _Cache:
    """The files that were used last, up to so many bytes of them."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            if (data := self._files.get(key)) is not None:
                self._files.move_to_end(key)
            return data

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._files.pop(key, b""))
            self._files[key] = data
            while self._bytes > self._most:
                self._bytes -= len(self._files.popitem(last=False)[1])


def pictures_of(location: Location) -> Pictures | None:
    """The files beside the tables of a place; None in an object store that is not S3."""
    if location.folder is not None:
        return PictureFiles(location.folder)
    return PictureBucket(location.uri) if location.uri.startswith(SCHEME) else None


def path_of(kind: str, key: str) -> str:
    """Where a file is, below the store's own prefix.

    Raises:
        ValueError: it is none of this program's.
    """
    if not KEY.fullmatch(key):
        raise ValueError("a picture's key must be 64 hexadecimal digits")
    return f"{FOLDER}/{kind}/{key[:2]}/{key}"
