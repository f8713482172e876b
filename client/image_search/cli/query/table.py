"""`image-search status`, `declare-column` and `drop-column`: the table as a whole."""

from dataclasses import asdict
from typing import get_args

import click

from image_search.cli.query.connection import client_of
from image_search.cli.query.printing import as_json_lines, print_rows
from image_search.cli.terminal import shown, to_service
from image_search.results.table import ColumnType


@click.command("declare-column")
@click.argument("key")
@click.argument("type", type=click.Choice(get_args(ColumnType)))
@to_service
def declare_column(key: str, type: ColumnType, server: str, api_key: str | None) -> None:
    """Give a metadata KEY a TYPE before its first value, or a wider one."""
    with client_of(server, api_key) as client:
        created = client.declare_column(key, type)
    click.echo(f"{shown(key)} {'is now' if created else 'was already'} a key of type {type}.")


@click.command("drop-column")
@click.argument("key")
@to_service
@click.option("--yes", is_flag=True, help="Do not ask first.")
def drop_column(key: str, server: str, api_key: str | None, yes: bool) -> None:
    """Take a metadata KEY and its values away from all images, and free its name."""
    if not yes:
        click.confirm(f"Take {shown(key)} away from every image?", abort=True, err=True)
    with client_of(server, api_key) as client:
        count = client.drop_column(key)
    click.echo(f"{count:,} images had it.")


@click.command()
@to_service
@as_json_lines
def status(server: str, api_key: str | None, as_json: bool) -> None:
    """Print the state of the index."""
    with client_of(server, api_key) as client:
        state = asdict(client.status())
    if state["objects"] is None:
        del state["objects"]
    print_rows(["what", "is"], list(state.items()), [state], as_json)
