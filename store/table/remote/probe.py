"""Looks at an object store before it is trusted with a table.

Of several that write at once one alone may win: a table's versions stand on it. Some servers that
speak S3 overwrite whatever they are told to write only where nothing is (`If-None-Match: *`);
there, racing writers would lose what others were told is safe.
"""

import contextlib
from uuid import uuid4

from store.errors import StoreOpenError
from store.table.remote.bucket import SCHEME, bucket_at, explained

_CONTENT = b"This file is to be written once."
_NO_CONDITIONS = (
    "IMAGE_SEARCH_STORE_URI: this object store overwrites what was to be written only once"
    " (If-None-Match: *), so that writers would lose each other's changes: use one with conditional"
    " writes, such as S3 itself, MinIO or Ceph"
)
_NO_RANGES = "IMAGE_SEARCH_STORE_URI: this object store cannot read a part of a file"


def probe(uri: str) -> None:
    """Writes a file, tries to overwrite it, reads a part of it and deletes it. Blocks.

    Only where the URI is an ``s3://`` one.

    Raises:
        StoreOpenError: the store cannot be used; it says why, and what would be right.
    """
    if not uri.startswith(SCHEME):
        return
    from obstore.exceptions import AlreadyExistsError, NotSupportedError  # noqa: PLC0415 - see store.table.remote.bucket

    with explained(uri):
        bucket, key = bucket_at(uri), f"probe-{uuid4().hex}"
        try:
            with contextlib.suppress(AlreadyExistsError):  # an answer that was lost on the way
                bucket.put(key, _CONTENT, mode="create")
            try:
                bucket.put(key, _CONTENT, mode="create")
            except AlreadyExistsError:
                pass
            except NotSupportedError as error:
                raise StoreOpenError(_NO_CONDITIONS, repr(error)) from error
            else:
                raise StoreOpenError(_NO_CONDITIONS)
            if bytes(bucket.get_range(key, start=5, end=9)) != _CONTENT[5:9]:
                raise StoreOpenError(_NO_RANGES)
        finally:
            with contextlib.suppress(Exception):
                bucket.delete(key)
