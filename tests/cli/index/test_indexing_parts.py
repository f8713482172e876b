"""The parts of `image-search index` that need no service."""

import asyncio
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from image_search.cli.index.adding import INITIAL_IN_FLIGHT, MAX_IN_FLIGHT, InFlight
from image_search.cli.index.errors import may_pass
from image_search.cli.index.files import loaded
from image_search.cli.index.journal import Done, Journal, JournalError
from image_search.cli.index.run import same_server
from image_search.cli.tables.column_types import ColumnType, value_in
from image_search.cli.tables.rows import Row, line_rows
from image_search.cli.terminal import shown


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "", "-2"], [1, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        ([".5", "1e-03", "1.5e+20", "2.5E3"], [0.5, 0.001, 1.5e20, 2500.0]),
        (["1e5", "2e7"], ["1e5", "2e7"]),
        (["1", "1e5"], ["1", "1e5"]),
        (["+49301234", "5"], ["+49301234", "5"]),
        (["1.", "2"], ["1.", "2"]),
        (["true", "FALSE"], [True, False]),
        (["2026-01-31T12:00:00Z"], ["2026-01-31T12:00:00Z"]),
        (["1", "x"], ["1", "x"]),
        (["01"], ["01"]),
        (["1e999"], ["1e999"]),
        (["nan"], ["nan"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
        (["9007199254740992", "0.5"], [2.0**53, 0.5]),
        (["true", "1"], ["true", "1"]),
        (["-", ".", "e5"], ["-", ".", "e5"]),
    ],
)
def test_a_column_has_one_type(texts: list[str], values: list[object]) -> None:
    column = ColumnType()
    for text in texts:
        column.see(text)
    read = [column.value(text) for text in texts if text]
    assert read == values
    assert [type(one) for one in read] == [type(one) for one in values]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "12", "12"),
        ("timestamp", "2024", "2024"),
        ("list of strings", "a", "a"),
        ("integer", "007", 7),
        ("integer", "-3", -3),
        ("integer", "12.5", 12.5),
        ("integer", "x", "x"),
        ("integer", "9" * 25, "9" * 25),
        ("float", "10", 10.0),
        ("float", "1e5", 100_000.0),
        ("float", "1e999", "1e999"),
        ("float", "nan", "nan"),
        ("boolean", "TRUE", True),
        ("boolean", "1", True),
        ("boolean", "Yes", True),
        ("boolean", "off", False),
        ("boolean", "maybe", "maybe"),
        ("a type of tomorrow", "1", "1"),
    ],
)
def test_the_types_of_the_table_win(kind: str, text: str, value: object) -> None:
    read = value_in(kind, text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("code", "reason", "passes"),
    [
        ("http_status", "could not fetch the image: the server answered 503 instead of 200", True),
        ("http_status", "could not fetch the image: the server answered 429 instead of 200", True),
        ("http_status", "could not fetch the image: the server answered 404 instead of 200", False),
        ("host_unreachable", "", True),
        ("fetch_timeout", "", True),
        ("host_busy", "", True),
        ("model_unavailable", "", True),
        ("not_an_image", "", False),
        ("url_invalid", "", False),
        ("no_url", "", False),
        ("bad_row", "", False),
    ],
)
def test_what_may_pass(code: str, reason: str, passes: bool) -> None:
    assert may_pass({"code": code, "reason": reason}) is passes


def test_what_failed_and_may_pass_is_not_done(tmp_path: Path) -> None:
    path = tmp_path / "state"
    journal = Journal(path, "a")
    for key, code in enumerate(("not_an_image", "host_unreachable", "not_an_image")):
        journal.failed(key, {"code": code})
    journal.close()

    def open_again(**more: Any) -> tuple[list[bool], list[Any]]:
        with closing(Journal(path, "a", **more)) as again:
            return [key in again.done for key in range(3)], list(again.failures)

    assert open_again(again=may_pass) == ([True, False, True], [0, 2])
    assert open_again(again=lambda _: True) == ([False] * 3, [])
    with closing(Journal(path, "a", again=lambda _: True)) as third:
        third.added(0)
        third.added(1)
    assert open_again(again=may_pass) == ([True] * 3, [2])


def test_a_failure_carries_its_row() -> None:
    lines = [
        b'{"url": "http://a/1.jpg", "shop": "A", "price": 12.0, "code": "x"}',
        b'{"url": 5}',
        b"[1]",
        b"nonsense",
    ]
    for row in line_rows(lines, "url"):
        line = json.dumps({**row.subject, "code": "c", "reason": "r", "row": row.given}).encode()
        (again,) = line_rows([line], "url")
        if row.problem:
            assert (again.problem, again.raw) == (row.problem, row.raw)
        else:
            assert (again.url, again.metadata) == (row.url, row.metadata)
    mended = {"code": "bad_row", "reason": "r", "row": '{"url": "http://a/", "n": 1}'}
    (row,) = line_rows([json.dumps(mended).encode()], "url")
    assert (row.url, row.metadata) == ("http://a/", {"n": 1})
    odds: list[Any] = [[], 5, None, {}, {"url": 5}, {"url": "u", "metadata": 5}, {"file": ["x"]}]
    for odd in odds:
        (row,) = line_rows([json.dumps({**mended, "row": odd}).encode()], "url")
        assert row.problem == "no row to try again: r"
        line = json.dumps({"code": "c", "reason": row.problem, "row": row.given}).encode()
        (again,) = line_rows([line], "url")  # a second time it is still the same
        if odd is not None:
            assert (again.problem, again.given) == (row.problem, odd)


def test_numbers_that_json_has_not_end_no_run() -> None:
    """Python writes NaN and infinity into JSON lines; the service takes neither."""
    lines = [
        b'{"url": "http://a/", "n": NaN, "m": -Infinity, "o": {"p": Infinity}, "q": 1.5}',
        b'{"url": "http://a/", "n": 1e400}',
    ]
    read, huge = line_rows(lines, "url")
    assert read.metadata == {"n": None, "m": None, "o": {"p": None}, "q": 1.5}
    assert (huge.problem, huge.raw) == (
        "the line has a number that is too large",
        lines[1].decode(),
    )


def test_a_failure_without_a_url_stays_one() -> None:
    """What a person does not mend is listed the second time as it was the first time."""
    own = {"url": "", "id": "a", "metadata": {"n": 1}}
    line = json.dumps({"url": "", "line": 3, "code": "no_url", "reason": "r", "row": own}).encode()
    (row,) = line_rows([line], "url")
    assert (row.problem, row.given) == ("", own)


def test_what_is_done_takes_little_memory() -> None:
    done = Done()
    for number in (1, 0, 2, 5, 5):
        done.add(number)
    assert [number in done for number in range(7)] == [True, True, True, False, False, True, False]


def test_a_journal_goes_on_also_behind_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "state"
    journal = Journal(path, "a")
    journal.added(0)
    journal.failed(1, {"url": "u"})
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"done": 2')
    again = Journal(path, "a")
    assert ([key in again.done for key in range(3)], again.failures) == (
        [True, True, False],
        {1: {"url": "u"}},
    )
    again.added(2)
    again.added("a file's digest")
    again.close()
    third = Journal(path, "a")
    assert all(key in third.done for key in (0, 1, 2, "a file's digest"))
    third.close()
    other = Journal(path, "b")
    assert (0 in other.done, other.began_anew) == (False, True)
    other.close()


def test_a_journal_overwrites_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("my notes")
    with pytest.raises(JournalError, match="no state of this command"):
        Journal(path, "a")
    assert path.read_text() == "my notes"


def test_the_number_in_flight_adapts() -> None:
    limit = InFlight()
    for _ in range(200):
        limit.succeeded()
    assert limit.limit == MAX_IN_FLIGHT
    halvings = limit.halvings
    for _ in range(MAX_IN_FLIGHT):  # all that were sent together are refused together
        limit.overloaded(halvings)
    assert limit.limit == MAX_IN_FLIGHT // 2
    limit.succeeded()
    assert limit.limit == MAX_IN_FLIGHT // 2
    fixed = InFlight(3)
    fixed.succeeded()
    fixed.overloaded(fixed.halvings)
    assert fixed.limit == 3


@pytest.mark.parametrize(
    "server", ["http://LOCALHOST/", "http://127.0.0.1:80", "http://[::1]:80", "http://localhost"]
)
def test_a_server_is_the_same_in_any_spelling(server: str) -> None:
    assert same_server(server) == "http://127.0.0.1:80"
    assert same_server("https://search.example/api/") == "https://search.example:443/api"


def test_a_listed_file_is_read_as_one_of_a_folder_is(tmp_path: Path) -> None:
    pipe, empty = tmp_path / "pipe.jpg", tmp_path / "empty.jpg"
    os.mkfifo(pipe)
    empty.write_bytes(b"")
    rows = [loaded(Row(1, "", None, file=str(path))) for path in (pipe, empty, tmp_path / "no")]
    assert [row.problem for row in rows] == [
        "it is no regular file",
        "the file is empty",
        "the file cannot be read: No such file or directory",
    ]


def test_requests_beyond_the_limit_wait() -> None:
    async def fill() -> bool:
        limit = InFlight()
        for _ in range(INITIAL_IN_FLIGHT):
            await limit.acquire()
        waiting = asyncio.create_task(limit.acquire())
        await asyncio.sleep(0)
        was_done = waiting.done()
        limit.release()
        await asyncio.wait_for(waiting, 10)
        return was_done

    assert not asyncio.run(fill())


def test_escapes_are_shown() -> None:
    assert shown("a\x1b[31m\u202e\x7f\u2028é😀[b]") == "a\\u001b[31m\\u202e\\u007f\\u2028é😀[b]"
