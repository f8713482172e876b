"""Making of a plan: the source's rows are read once, and written down shard by shard.

From then on the source may change or go: which row belongs to which shard stays.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from secrets import token_hex
from typing import Any

from cli.bulk.plan import BulkError, Plan, State
from image_search.cli.output import made_whole
from image_search.cli.tables.rows import Row, Source

_OWN_DATA = ("data", "whole")

Numbered = tuple[int, Row]
"""A row and its number in the source, from 0."""


def make_plan(state: State, source: Source, begin: Plan, told: Callable[[int], None]) -> Plan:
    """Write all rows of a source down, then the plan.

    Args:
        state: of the run; without a plan.
        source: its rows.
        begin: the plan, but for what the rows say.
        told: is told how many rows were read since the last time.

    Raises:
        SourceError: the source cannot be read.
        BulkError: it is an exported index, whose vectors are there already.
    """
    if source.whole is not None:
        raise BulkError(
            "an exported index has its vectors already: `image-search index` puts them in"
        )
    rows = enumerate(source.rows)
    count = shards = 0
    while part := list(islice(rows, begin.shard_rows)):
        write_rows(state, shards, part)
        count, shards = count + len(part), shards + 1
        told(len(part))
    plan = replace(begin, rows=count, shards=shards, left_out=dict(source.left_out))
    state.write_plan(plan)
    return plan


def with_retries(state: State, plan: Plan) -> Plan:
    """The plan with shards more, for the rows that failed in those that there are.

    Before it is done it stays as it is: what is yet to fail would be in no list.
    """
    if not state.is_done(plan):
        return plan
    failed = iter([(one["number"], row_of(one["given"])) for one in state.failures(plan)])
    shards = plan.shards
    while part := list(islice(failed, plan.shard_rows)):
        write_rows(state, shards, part)
        shards += 1
    if shards == plan.shards:
        return plan
    plan = replace(plan, retried=plan.shards, shards=shards)
    state.write_plan(plan)
    return plan


def new_id() -> tuple[str, datetime]:
    """The id of a run that begins now, and the moment."""
    return token_hex(8), datetime.now(UTC)


def write_rows(state: State, shard: int, rows: Iterable[Numbered]) -> None:
    """Write the rows of a shard down."""
    with made_whole(state.rows_file(shard)) as file:
        for number, row in rows:
            told = {"number": number, **given_of(row)}
            file.write(json.dumps(told, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")


def read_rows(state: State, shard: int) -> Iterator[Numbered]:
    """The rows of a shard."""
    with state.rows_file(shard).open("rb") as file:
        for line in file:
            told = json.loads(line.decode(errors="surrogatepass"))
            yield told.pop("number"), row_of(told)


def given_of(row: Row) -> dict[str, Any]:
    """A row as JSON, without what is read only when it is needed."""
    return {name: one for name, one in row._asdict().items() if name not in _OWN_DATA}


def row_of(given: dict[str, Any]) -> Row:
    """What `given_of` made."""
    return Row(**given)
