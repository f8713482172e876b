"""Answers as JSON, byte by byte as Starlette would write them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from api.contract.responses.add import AddAnswer
from api.contract.responses.fields import Answer
from api.contract.responses.images import ListAnswer
from api.contract.responses.search import SearchAnswer
from api.limits.answers import SMALL_ROWS
from api.routes.handler import json_response
from store.schemas import Hit, Page, StoredImage


def body(answer: Answer) -> bytes:
    return bytes(asyncio.run(json_response(answer)).body)


def plain(content: object) -> bytes:
    return bytes(JSONResponse(content).body)


WHEN = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
metadata = st.none() | st.text() | st.dictionaries(
    st.text(),
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.lists(st.text())
    | st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
scores = st.none() | st.floats(-1, 1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.text(), scores, metadata), max_size=5), st.sampled_from([1, 40]))
def test_rows_are_written_as_plain_json_would_be(rows: list[Any], times: int) -> None:
    hits = [
        Hit(id=url, url=url, score=score, metadata=m, created_at=WHEN) for url, score, m in rows
    ]
    expected = [{"id": a, "url": a, "score": score, "metadata": b} for a, score, b in rows]
    answer = SearchAnswer.model_validate({"results": hits * times})
    assert body(answer) == plain({"results": expected * times})


@pytest.mark.parametrize("many", [0, 1, SMALL_ROWS, SMALL_ROWS + 1, 999, 1000])
def test_what_follows_the_rows_is_written_too(many: int) -> None:
    page = Page([StoredImage("a", "http://a/é", WHEN, {"x": 1e-05})] * many, 7)
    row = {"id": "a", "url": "http://a/é", "metadata": {"x": 1e-05}}
    rows = [{**row, "created_at": "2026-01-31T12:00:00.123456Z"}] * many
    answer = ListAnswer.model_validate({"images": page.images, "total": page.total})
    assert body(answer) == plain({"images": rows, "total": 7})


def test_what_is_not_set_is_absent() -> None:
    answer = AddAnswer(message="success", id="a", created=False)
    assert body(answer) == plain({"message": "success", "id": "a", "created": False})
    answer.skipped = True
    assert body(answer) == plain(
        {"message": "success", "id": "a", "created": False, "skipped": True}
    )


def test_a_long_answer_lets_others_run() -> None:
    async def run() -> tuple[bytes, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        hits = [Hit("a", "a", 1.0, "é" * 30_000, WHEN)] * 160
        answer = await json_response(SearchAnswer.model_validate({"results": hits}))
        task.cancel()
        return bytes(answer.body), turns

    written, turns = asyncio.run(run())
    assert turns >= 9
    assert written.count(b'"score":1.0') == 160
