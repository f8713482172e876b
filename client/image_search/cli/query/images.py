"""`image-search get`, `delete` and `update`: images by id, or all that match a filter."""

from dataclasses import asdict
from typing import Any

import click

from image_search.cli.query.connection import client_of, filter_option
from image_search.cli.query.printing import print_json
from image_search.cli.terminal import json_object, to_service


@click.command()
@click.argument("id_", metavar="ID")
@to_service
def get(id_: str, server: str, api_key: str | None) -> None:
    """Print an image of the index, as JSON."""
    with client_of(server, api_key) as client:
        image = client.get(id_)
    print_json([asdict(image)])


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@to_service
@click.option("--url", "urls", multiple=True, help="Picture's URL: all its images. Repeatable.")
@filter_option
@click.option("--all", "everything", is_flag=True, help="Delete every image of the index.")
@click.option("--yes", is_flag=True, help="Delete without asking first.")
def delete(  # noqa: PLR0913 - what the command takes
    *,
    ids: tuple[str, ...],
    server: str,
    api_key: str | None,
    urls: tuple[str, ...],
    conditions: dict[str, Any] | None,
    everything: bool,
    yes: bool,
) -> None:
    """Delete images by their IDs or URLs, all that match a filter, or all."""
    if bool(ids) + bool(urls) + bool(conditions) + everything != 1:
        raise click.UsageError("give one of IDs, --url, a --filter with conditions and --all")
    with client_of(server, api_key) as client:
        if not (ids or urls or yes):
            what = f"all {client.status().rows:,} images" if everything else "every match"
            click.confirm(f"Delete {what} of the index at {server}?", abort=True, err=True)
        if ids:
            parts = [ids[at : at + 1000] for at in range(0, len(ids), 1000)]
            deleted = sum(client.delete_many(part) for part in parts)
        elif urls:
            deleted = client.delete_many(urls=urls)
        else:
            deleted = client.delete_many(filter=conditions, all=everything)
    click.echo(f"{deleted:,} deleted.")


@click.command()
@click.argument("changes", metavar="JSON", callback=json_object)
@to_service
@filter_option
@click.option("--all", "everything", is_flag=True, help="Change every image of the index.")
@click.option("--yes", is_flag=True, help="Change without asking first.")
def update(  # noqa: PLR0913 - what the command takes
    *,
    changes: dict[str, Any],
    server: str,
    api_key: str | None,
    conditions: dict[str, Any] | None,
    everything: bool,
    yes: bool,
) -> None:
    """Change the metadata of all images that match a filter, or of all.

    The keys of the object JSON are set, and those that are null are removed.
    """
    if bool(conditions) + everything != 1:
        raise click.UsageError("give either a --filter with conditions or --all")
    if not yes:
        what = "every image" if everything else "every match"
        click.confirm(f"Change {what} of the index at {server}?", abort=True, err=True)
    with client_of(server, api_key) as client:
        changed = client.update_many(changes, filter=conditions, all=everything)
    click.echo(f"{changed:,} changed.")
