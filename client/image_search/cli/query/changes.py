"""The commands that tell who changed the index, and undo one key's changes: log, undo."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from image_search.cli.query.connection import client_of
from image_search.cli.query.printing import as_json_lines, print_rows
from image_search.cli.terminal import shown, to_service

if TYPE_CHECKING:
    from image_search import Change

_before = click.option("--before", metavar="TIME", help="Only changes of before this time.")


@click.command()
@to_service
@click.option("--key", help="Only changes of the key of this name.")
@click.option("--action", help="Only changes of this kind, such as delete.")
@click.option("--id", "id_", help="Only changes of this image.")
@click.option("--since", metavar="TIME", help="Only changes from this time on.")
@_before
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Most changes."
)
@as_json_lines
def log(  # noqa: PLR0913 - what the command takes
    *,
    server: str,
    api_key: str | None,
    key: str | None,
    action: str | None,
    id_: str | None,
    since: str | None,
    before: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print who has changed what of the index, newest first.

    A TIME is as 2026-01-31T12:00:00Z: RFC 3339, with a zone.
    """
    with client_of(server, api_key) as client:
        page = client.log(limit=limit, since=since, before=before, key=key, action=action, id=id_)
    head = ["at", "key", "address", "action", "images", "before", "version", "about"]
    print_rows(head, [_row(one) for one in page.changes], list(map(asdict, page.changes)), as_json)
    if page.more:
        click.echo("There are earlier ones: go on with --before and the last time.", err=True)


@click.command()
@click.argument("key")
@to_service
@click.option("--since", metavar="TIME", required=True, help="Time of the first change to undo.")
@_before
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--yes", is_flag=True, help="Undo without asking first.")
def undo(  # noqa: PLR0913 - what the command takes
    *,
    key: str,
    server: str,
    api_key: str | None,
    since: str,
    before: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Undo the changes that a KEY has made since a time.

    Give the key's name, and a TIME as 2026-01-31T12:00:00Z: RFC 3339, with a zone. What others have
    changed since stays as it is, and is told, one line for each image.
    """
    if not (dry_run or yes):
        click.confirm(f"Undo every change of {key!r} since {since}?", abort=True, err=True)
    with client_of(server, api_key) as client:
        undone = client.undo(key, since, before=before, dry_run=dry_run)
    print_rows(["id", "left, because"], [(one.id, one.reason) for one in undone.left], [], False)
    would = "would be " if dry_run else ""
    click.echo(
        f"{undone.removed:,} images {would}removed, {undone.restored:,} {would}brought back,"
        f" {undone.left_total:,} left."
    )
    if not (undone.removed or undone.restored or undone.left_total):
        click.echo(f"The log has no change by {shown(key)} in that time to undo.", err=True)


def _row(change: "Change") -> tuple[Any, ...]:
    about = change.filter or change.undone or change.restored or change.column
    if about is None and len(change.ids) == 1:
        about = change.ids[0]
    version = change.version if change.version is not None else "?"
    when = change.at.isoformat().replace("+00:00", "Z")
    who = (when, change.key, change.address, change.action)
    return (*who, change.count, change.version_before, version, about)
