"""The table as calls: its state, its columns, its versions, who changed it."""

from datetime import datetime

from image_search.request import MOST_LIST_BYTES, Call, encoded, of_json, post, quoted
from image_search.results.table import ChangePage, ColumnType, IndexStatus, Undone, Version


def heartbeat() -> Call[str]:
    """Message of the service that says that it is up."""
    return Call("GET", "/heartbeat", of_json(str, "message"))


def status() -> Call[IndexStatus]:
    """The table as it is now."""
    return Call("GET", "/index", of_json(IndexStatus))


def declare_column(key: str, type: ColumnType) -> Call[bool]:
    """Give a metadata key a type before its first value, or a wider one; whether that was new.

    Raises:
        RefusedError: the key has another type, or there are too many keys.
    """
    path = "/index/columns/" + quoted(key)
    return Call("PUT", path, of_json(bool, "created"), encoded({"type": type}))


def drop_column(key: str) -> Call[int]:
    """Take a metadata key and its values away from all images; how many had it.

    A restore of a version before brings it back.

    Raises:
        RefusedError: there is no such key.
    """
    return Call("DELETE", "/index/columns/" + quoted(key), of_json(int, "count"))


def versions() -> Call[list[Version]]:
    """The versions that can be restored, newest first."""
    read_versions = of_json(list[Version], "versions")
    return Call("GET", "/index/versions", read_versions, most_bytes=MOST_LIST_BYTES)


def restore(version: int | None = None, *, before: datetime | str | None = None) -> Call[Version]:
    """Make the table as it was at a version, or at the last one before a time with a zone.

    Raises:
        RefusedError: there is no such version, or it is not kept any more.
    """
    body = {"version": version, "before": _moment(before)}
    return post("/index/restore", body, of_json(Version, "restored"))


def log(  # noqa: PLR0913 - what it can be asked for
    *,
    limit: int = 100,
    since: datetime | str | None = None,
    before: datetime | str | None = None,
    key: str | None = None,
    action: str | None = None,
    id: str | None = None,
) -> Call[ChangePage]:
    """Who has changed what of the index, newest first.

    Args:
        limit: most changes, 1 to 1000.
        since: none of before this time with a zone.
        before: only those of before this time; for the next page, that of the last change.
        key: only changes of the key of this name.
        action: only changes of this kind.
        id: only changes of this image.

    Raises:
        RefusedError: the key that is used may not see it.
    """
    chosen = {"since": _moment(since), "before": _moment(before), "key": key}
    chosen |= {"action": action, "id": id}
    params: dict[str, str | int] = {name: one for name, one in chosen.items() if one is not None}
    params = {"limit": limit, **params}
    read_page = of_json(ChangePage)
    return Call("GET", "/index/log", read_page, params=params, most_bytes=MOST_LIST_BYTES)


def undo(
    key: str,
    since: datetime | str,
    *,
    before: datetime | str | None = None,
    dry_run: bool = False,
) -> Call[Undone]:
    """Undo the changes that a key has made; what others have changed since stays, and is told.

    Args:
        key: its name.
        since: the time with a zone of the first change to undo.
        before: changes from this time on are not undone; now, without.
        dry_run: only tell what would be done.

    Raises:
        RefusedError: the key that is used may not.
    """
    body = {"key": key, "since": _moment(since), "before": _moment(before), "dry_run": dry_run}
    return post("/index/undo", body, of_json(Undone))


def _moment(given: datetime | str | None) -> str | None:
    return given.isoformat() if isinstance(given, datetime) else given
