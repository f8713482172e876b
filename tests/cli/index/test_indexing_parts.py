"""The parts of `image-search index` that need no service."""

import asyncio
from pathlib import Path

import pytest

from cli.index.adding import INITIAL_IN_FLIGHT, MAX_IN_FLIGHT, InFlight
from cli.index.journal import Done, Journal, JournalError
from cli.index.run import same_server
from cli.tables.rows import ColumnType
from cli.terminal import shown


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "", "-2"], [1, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        ([".5", "1e3"], [0.5, 1000.0]),
        (["true", "FALSE"], [True, False]),
        (["2026-01-31T12:00:00Z"], ["2026-01-31T12:00:00Z"]),
        (["1", "x"], ["1", "x"]),
        (["01"], ["01"]),
        (["1e999"], ["1e999"]),
        (["nan"], ["nan"]),
        (["9223372036854775807"], [2**63 - 1]),
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
