"""Thumbnails and originals in an object store, as they are in a folder."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from store.pictures.bucket import PictureBucket
from store.pictures.bucket_sweep import sweep_bucket
from store.schemas import NewImage
from tests.store.remote.server import S3Server
from tests.store.remote.test_remote import writers
from tests.store.support import image, run

AT_ONCE = timedelta(0)


def key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def with_thumbnail(n: int, picture: bytes) -> NewImage:
    return replace(image(n), pixels=key(picture), thumbnail=b"small " + picture)


def test_what_one_machine_has_stored_another_one_reads(uri: str) -> None:
    async def check() -> None:
        async with writers(uri, 2) as [one, other]:
            for n in range(2):
                await one.upsert(with_thumbnail(n, b"same"))
            file = await one.keep_original(b"a file")
            await one.upsert(replace(image(2), file=file))
            for n in range(2):
                small = await other.picture(image(n).id, "thumbnails")
                assert small is not None
                assert (small.key, small.data) == (key(b"same"), b"small same")
            original = await other.picture(image(2).id, "originals")
            assert original is not None
            assert original.data == b"a file"
            assert await other.picture(image(2).id, "thumbnails") is None
            assert await other.picture("nobody", "thumbnails") is None

    run(check())


def test_a_thumbnail_that_was_read_is_not_asked_for_again(s3: S3Server, uri: str) -> None:
    bucket = PictureBucket(uri, cache_bytes=10)
    bucket.write("thumbnails", key(b"1"), b"123456")
    bucket.write("thumbnails", key(b"2"), b"123456")
    s3.requests()
    assert [bucket.read("thumbnails", key(b"1")) for _ in range(3)] == [b"123456"] * 3
    assert s3.requests().total() == 1
    assert bucket.read("thumbnails", key(b"2")) == b"123456"  # there is no room for both
    assert bucket.read("thumbnails", key(b"1")) == b"123456"
    assert s3.requests().total() == 2


def test_what_no_image_needs_is_marked_then_removed(uri: str) -> None:
    async def check() -> None:
        async with writers(uri, 1) as [index]:
            for n in range(4):
                await index.upsert(with_thumbnail(n, b"%d" % n))
            await index.delete([image(n).id for n in (1, 2)])
            options = await index.opened.table.latest_storage_options()
            bucket = PictureBucket(uri, cache_bytes=0)

            def there() -> list[int]:
                return [n for n in range(4) if bucket.read("thumbnails", key(b"%d" % n))]

            assert sweep_bucket(uri, options, AT_ONCE) == 0  # too young to be marked
            assert sweep_bucket(uri, options, timedelta(hours=1), 0) == 0
            assert sweep_bucket(uri, options, timedelta(hours=1), 0) == 0  # marked, and kept
            assert there() == [0, 1, 2, 3]
            await index.upsert(with_thumbnail(5, b"2"))  # comes again while it is marked
            assert sweep_bucket(uri, options, AT_ONCE, 0) == 1
            assert there() == [0, 2, 3]
            assert sweep_bucket(uri, options, AT_ONCE, 0) == 0
            assert there() == [0, 2, 3]
            report = await index.run_upkeep()
            assert report is not None
            assert report.result == "ok"
            assert there() == [0, 2, 3]

    run(check())


@pytest.mark.usefixtures("s3")
def test_no_other_file_is_reached_by_a_name(uri: str) -> None:
    bucket = PictureBucket(uri)
    assert bucket.read("thumbnails", "../../images.lance") is None
    with pytest.raises(ValueError, match="64 hexadecimal"):
        bucket.write("thumbnails", "../other", b"")
