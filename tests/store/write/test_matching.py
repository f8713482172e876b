"""Writes whose rows are found by a url or a filter, and rows that have ids of their own."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import store.editor
from store.changes.change import LogQuery
from store.changes.story import Span
from store.errors import FilterError, InvalidRowError, MetadataConflictError, MetadataLimitError
from store.schemas import Author, image_id
from tests.store.support import image, opened, run, url_of

ONE, OTHER = Author("one"), Author("other")


def test_rows_are_called_by_their_own_ids(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            for own in ("a", "b"):
                assert (await index.upsert(replace(image(1), own_id=own))).id == own
            assert (await index.upsert(image(1))).id == image_id(url_of(1))
            again = await index.upsert(replace(image(2), own_id="a"))
            assert (again.id, again.created) == ("a", False)
            page = await index.images(10, url=url_of(1))
            assert ([one.id for one in page.images], page.total) == (
                [image_id(url_of(1)), "b"],
                2,
            )
            assert (await index.images(1, 1, url_of(1))).images[0].id == "b"
            for unknown in ("", "\ud800", "' OR 1=1 --", url_of(3)):
                assert (await index.images(10, url=unknown)).total == 0
            assert await index.delete_urls([url_of(1), "\ud800", "' OR 1=1 --"]) == 2
            assert [one.id for one in (await index.images(10)).images] == ["a"]
            assert await index.delete_urls([url_of(1)]) == await index.delete_urls([]) == 0

    run(check())


@pytest.mark.parametrize(
    "own", ["", ".", "..", "a/b", "a b", "\u00e4", "a\n", "x" * 129, "a\0", "%"]
)
def test_what_is_no_id_is_refused(tmp_path: Path, own: str) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            with pytest.raises(InvalidRowError, match="1 to 128"):
                await index.upsert(replace(image(1), own_id=own))
            assert await index.count() == 0

    run(check())


def test_a_patch_of_all_that_match_is_several_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.editor, "PATCHED_AT_ONCE", 10)

    async def check() -> None:
        async with opened(tmp_path) as index:
            await asyncio.gather(
                *(index.upsert(image(n, {"n": n, "half": n % 2}), ONE) for n in range(60))
            )
            dates = {one.id: one.created_at for one in (await index.images(100)).images}
            version = (await index.state()).version
            # What is changed does not match any more, and is not looked for twice.
            assert await index.patch_matching({"half": 1}, {"half": 3, "new": "x"}, OTHER) == 30
            assert await index.count({"half": 3, "new": "x"}) == 30
            assert (await index.state()).version == version + 4  # and the column
            after = {one.id: one.created_at for one in (await index.images(100)).images}
            assert after == dates
            changes, _ = await index.changes(LogQuery(key="other"))
            assert [(one.action, one.count) for one in changes] == [("patch", 10)] * 3
            version = (await index.state()).version
            assert await index.patch_matching({"half": 3}, {"new": "x"}, OTHER) == 30
            assert (await index.state()).version == version  # nothing is written again
            undone = await index.undo(Span("other", changes[-1].at, datetime.now(UTC)))
            assert (undone.restored, await index.count({"half": 1})) == (30, 30)
            assert await index.patch_matching(None, None) == 60
            assert await index.count({"n": {"$exists": True}}) == 0

    run(check())


def test_a_patch_that_does_not_fit_one_row_changes_none(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as index:
            await index.upsert(image(1, {"n": 1, "long": "x" * 60_000}))
            await index.upsert(image(2, {"n": 2}))
            with pytest.raises(MetadataLimitError):
                await index.patch_matching({"n": {"$gt": 0}}, {"more": "x" * 6_000})
            with pytest.raises(MetadataConflictError):
                await index.patch_matching({"n": 1}, {"n": "text"})
            for broad in ({"n": {"$ne": 5}}, {"$not": {"n": 7}}, {"n": {"$gt": 0}, "$or": [{}]}):
                with pytest.raises(FilterError):
                    await index.patch_matching(broad, {"n": 5})
            assert await index.count({"n": {"$in": [1, 2]}}) == 2
            assert "more" not in (await index.state()).columns

    run(check())
