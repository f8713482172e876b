"""The change log: one line for each change, whatever ends the process or the disk."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from store.changes import log as log_module
from store.changes.change import Change, Draft, LogQuery
from store.changes.log import CURRENT, FOLDER, ChangeLog, remove_old, segments
from store.changes.reading import listed, newest_first
from store.errors import StoreReadOnlyError
from store.schemas import NOBODY, Author, image_id
from tests.store.support import image, opened, run, url_of

SHOP = Author("shop", "203.0.113.7", "request-1")
WEB = Author("web", "203.0.113.8", "request-2")


def ids(*numbers: int) -> list[str]:
    return [image_id(url_of(n)) for n in numbers]


def told(folder: Path, **query: Any) -> list[Change]:
    return listed(folder, LogQuery(**query))[0]


def test_every_change_is_told_by_key_and_id(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)
            await index.upsert(image(2, {"n": 2}), WEB)
            await index.upsert(image(1, {"n": 3}), WEB)
            await index.patch(ids(2)[0], {"n": 4}, SHOP)
            await index.patch("nobody", {"n": 4}, SHOP)
            await index.delete([*ids(2), "nobody"], SHOP)
            await index.delete(["nobody"], SHOP)
            full = (await index.versions())[0].version
            await index.delete_matching({"n": {"$gte": 0}}, WEB)
            await index.delete_matching({"n": {"$gte": 0}}, WEB)
            await index.restore(version=full, by=SHOP)

    run(check())
    changes = told(tmp_path)
    assert [(one.by, one.action, list(one.ids), one.more) for one in reversed(changes)] == [
        (NOBODY, "create", [], {}),
        (SHOP, "add", ids(1), {}),
        (WEB, "add", ids(2), {}),
        (WEB, "replace", ids(1), {}),
        (SHOP, "patch", ids(2), {}),
        (SHOP, "delete", ids(2), {}),
        (WEB, "delete_matching", ids(1), {"filter": {"n": {"$gte": 0}}}),
        (SHOP, "restore", [], {"restored": changes[1].version_before}),
    ]
    for later, earlier in pairwise(changes):
        assert later.version is not None
        assert earlier.version is not None
        assert later.version > later.version_before >= earlier.version
        assert later.at > earlier.at
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / FOLDER / CURRENT).stat().st_mode & 0o777 == 0o600


def test_one_request_is_one_line_and_two_keys_never_share_a_version_of_an_image(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await asyncio.gather(
                *(index.upsert(image(n), SHOP) for n in range(50)),
                *(index.upsert(image(n), WEB) for n in range(50)),
            )

    run(check())
    changes = told(tmp_path)
    assert len(changes) < 20
    touched: dict[tuple[str, int | None], str | None] = {}
    for change in changes:
        for one in change.ids:
            assert touched.setdefault((one, change.version), change.by.key) == change.by.key
    assert len(touched) == 100


def test_several_writers_share_a_log(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index, opened(tmp_path) as other:
            await asyncio.gather(
                *(index.upsert(image(n), SHOP) for n in range(30)),
                *(other.upsert(image(n), WEB) for n in range(15, 45)),
            )

    run(check())
    changes = told(tmp_path, action="add") + told(tmp_path, action="replace")
    assert sorted(own for one in changes for own in one.ids) == sorted(
        ids(*range(30), *range(15, 45))
    )
    assert {own for one in changes if one.by == WEB for own in one.ids} == {*ids(*range(15, 45))}
    assert all(one.version is not None for one in changes)


def test_lists_choose_and_page(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path, "images")
    for n in range(1, 60):
        by = SHOP if n % 2 else WEB
        log.settle([(log.begin([Draft(by, "add" if n % 3 else "delete", ids(n))], n), n + 1)])
    assert [one.version_before for one in told(tmp_path, limit=3)] == [59, 58, 57]
    assert {one.by.key for one in told(tmp_path, key="web")} == {"web"}
    assert [one.version_before for one in told(tmp_path, action="delete", limit=2)] == [57, 54]
    assert [one.version_before for one in told(tmp_path, id=ids(7)[0])] == [7]
    page, more = listed(tmp_path, LogQuery(limit=50))
    assert more
    rest, more = listed(tmp_path, LogQuery(limit=50, before=page[-1].at))
    assert not more
    assert [one.version_before for one in page + rest] == [*range(59, 0, -1)]
    assert len(told(tmp_path, since=page[9].at)) == 10
    first, last = (one.replace(tzinfo=UTC) for one in (datetime.min, datetime.max))
    assert len(told(tmp_path, since=first)) == len(told(tmp_path, before=last)) == 59


def test_long_lines_and_many_files_are_read_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 200_000)
    log = ChangeLog(tmp_path, "images")
    for n in range(12):
        log.settle([(log.begin([Draft(SHOP, "add", ids(*range(2000)))], n), n + 1)])
    assert len(segments(tmp_path / FOLDER)) > 3
    assert [(one.version, one.count) for one in newest_first(tmp_path)] == [
        (n + 1, 2000) for n in range(11, -1, -1)
    ]
    monkeypatch.setattr(log_module, "MOST_BYTES", 500_000)
    assert remove_old(tmp_path, timedelta(days=1)) > 0
    assert [one.version for one in newest_first(tmp_path)][:3] == [12, 11, 10]
    for segment in segments(tmp_path / FOLDER):
        os.utime(segment, (0, 0))
    assert remove_old(tmp_path, timedelta(days=1)) > 0
    assert not list(newest_first(tmp_path))


def test_a_file_of_yesterday_is_put_away(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path, "images")
    log.note("create", 1)
    past = datetime.now(UTC).timestamp() - 90_000
    os.utime(tmp_path / FOLDER / CURRENT, (past, past))
    log.begin([Draft(SHOP, "add", ids(1))], 1)
    assert len(segments(tmp_path / FOLDER)) == 2
    assert [one.action for one in newest_first(tmp_path)] == ["add", "create"]


def test_what_a_power_cut_left_of_a_line_is_skipped(tmp_path: Path) -> None:
    log = ChangeLog(tmp_path, "images")
    log.note("create", 1)
    with (tmp_path / FOLDER / CURRENT).open("ab") as file:
        file.write(b'{"at": "2026-01-01T00:00:00Z", "act\0\0\xff')
    log.settle([(log.begin([Draft(SHOP, "add", ids(1))], 1), 2)])
    with (tmp_path / FOLDER / CURRENT).open("ab") as file:
        file.write(b'\n17\n[]\n{"commit": "x"}\n{"action": "add"}\n')
    assert [(one.action, one.version) for one in newest_first(tmp_path)] == [
        ("add", 2),
        ("create", 1),
    ]


def test_a_change_that_cannot_be_written_down_is_not_made(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1}), SHOP)
            (tmp_path / FOLDER / CURRENT).rename(tmp_path / "elsewhere")
            (tmp_path / FOLDER / CURRENT).symlink_to(tmp_path / "elsewhere")
            with pytest.raises(Exception, match="could not be written"):
                await index.upsert(image(2), SHOP)
            with pytest.raises(Exception, match="could not be written"):
                await index.delete_matching({"n": 1}, SHOP)
            assert await index.count() == 1
            (tmp_path / FOLDER / CURRENT).unlink()
            await index.upsert(image(3), SHOP)
            assert await index.count() == 2

    run(check())


def test_a_commit_that_fails_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            table = type(index.opened.table)
            await index.upsert(image(1), SHOP)

            async def fail(*_: Any) -> None:
                raise OSError(30, "Read-only file system")

            with monkeypatch.context() as patch:
                patch.setattr(table, "add", fail)
                with pytest.raises(StoreReadOnlyError):
                    await index.upsert(image(2), SHOP)
            await index.upsert(image(3), SHOP)

    run(check())
    assert [one.ids for one in told(tmp_path, action="add")] == [ids(3), ids(1)]


def test_what_was_cut_off_is_told_without_a_version(tmp_path: Path) -> None:
    """A kill -9 just before a commit and just after one."""
    script = """
import asyncio, os, sys
from pathlib import Path
from store.write.commit import Committer
from tests.store.changes.test_log import SHOP
from tests.store.support import image, opened
folder, when = Path(sys.argv[1]), sys.argv[2]
write = Committer._write

async def killed(self, *args):
    if when == "after":
        await write(self, *args)
    os.kill(os.getpid(), 9)

async def main():
    async with opened(folder) as index:
        Committer._write = killed
        await index.upsert(image(len(when)), SHOP)

asyncio.run(main())
"""
    for when in ("before", "after"):
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path), when], check=False)
        assert done.returncode == -9

    async def check() -> int:
        async with opened(tmp_path) as index:
            await index.upsert(image(9), WEB)
            return await index.count()

    assert run(check()) == 2
    assert [(one.by.key, one.ids, one.version is None) for one in told(tmp_path)][:3] == [
        ("web", ids(9), False),
        ("shop", ids(len("after")), True),
        ("shop", ids(len("before")), True),
    ]


def test_no_text_of_a_client_makes_a_line(tmp_path: Path) -> None:
    forged = 'x\n{"at": "2026-01-01T00:00:00Z", "action": "add"}\r\u2028\x1b[31m"'
    log = ChangeLog(tmp_path, "images")
    log.begin([Draft(Author(forged, forged, forged), "delete", [forged], {"filter": forged})], 1)
    log.begin([Draft(SHOP, "delete_matching", ids(1), {"filter": {"k": "x" * 5000}})], 1)
    lines = (tmp_path / FOLDER / CURRENT).read_bytes().splitlines()
    assert len(lines) == 2
    assert all(line.isascii() and json.loads(line) for line in lines)
    long, first = newest_first(tmp_path)
    assert (first.by.key, first.ids, first.more["filter"]) == (forged, [forged], forged)
    assert long.more == {"filter": None}
