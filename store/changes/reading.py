"""Reading the change log: backwards, so that the newest changes are at hand at once."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from store.changes.change import IDS_SHOWN, Change, LogQuery
from store.changes.log import FOLDER, segments
from store.schemas import Author

_BLOCK_BYTES = 1 << 16
_SLACK = timedelta(hours=1)
"""By so much a clock that was set may have put moments out of order."""

_ACTION = b'"action":'
_MORE = frozenset({"filter", "restored", "undone", "since", "before", "column", "type", "imported"})


def newest_first(
    store: Path, since: datetime | None = None, *, having: Sequence[str] = ()
) -> Iterator[Change]:
    """The changes of all tables of a store's folder. Blocks.

    Args:
        store: its folder.
        since: those of before this moment may be missing.
        having: texts that are in each change that is looked for; others may be missing.

    Raises:
        OSError: a file cannot be read.
    """
    versions: dict[str, int | None] = {}
    needles = [json.dumps(text).encode() for text in having]
    for segment in segments(store / FOLDER):
        for line in _lines(segment):
            if _ACTION in line and not all(needle in line for needle in needles):
                continue  # a tenth of what reading it takes
            told = _parsed(line)
            if "action" not in told:
                versions[told.get("commit", "")] = told.get("version")
                continue
            change = _change(told, versions)
            if change is None:
                continue
            if since is not None and change.at + _SLACK < since:
                return
            if change.version is not None or change.commit not in versions:
                yield change


def listed(store: Path, query: LogQuery) -> tuple[list[Change], bool]:
    """The changes that a query takes, newest first, and whether there are more. Blocks.

    Each has its first thousand ids.

    Raises:
        OSError: a file cannot be read.
    """
    having = [text for text in (query.key, query.action, query.id) if text is not None]
    found = filter(query.takes, newest_first(store, query.since, having=having))
    shown = (replace(one, ids=one.ids[:IDS_SHOWN]) for one in found)
    changes = list(islice(shown, query.limit + 1))
    return changes[: query.limit], len(changes) > query.limit


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, the last one first; nothing where it was removed."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        left, later = file.seek(0, 2), [b""]
        while left:
            size = min(left, _BLOCK_BYTES)
            left -= size
            file.seek(left)
            first, *whole = file.read(size).split(b"\n")
            if not whole:  # the middle of a long line
                later.append(first)
                continue
            later.append(whole[-1])
            yield b"".join(reversed(later))
            yield from reversed(whole[:-1])
            later = [first]
        yield b"".join(reversed(later))


def _parsed(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is torn."""
    try:
        told = json.loads(line) if line else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _change(told: dict[str, Any], versions: dict[str, int | None]) -> Change | None:
    """The change that a line tells of; None where the line is none of this log's."""
    try:
        return Change(
            at=datetime.fromisoformat(told["at"]),
            commit=told["commit"],
            table=told["table"],
            by=Author(told["key"], told["address"], told["request_id"]),
            action=told["action"],
            count=told["count"],
            ids=told["ids"],
            more={name: value for name, value in told.items() if name in _MORE},
            version_before=told["version_before"],
            version=versions.get(told["commit"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
