"""The command `image-search export`: of the index in a folder, or of a running service."""

from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from image_search.cli.engine import engine_module
from image_search.cli.query.connection import client_of
from image_search.cli.terminal import shown, to_service


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@to_service
def export(file: Path, server: str, api_key: str | None) -> None:
    """Write every image of the index, with its vector and thumbnail, to a Parquet FILE.

    With --server it is the index of that service, over its API, which takes a key of the scope
    admin where there are keys. Without, it is the folder IMAGE_SEARCH_STORE_URI; the service may
    run meanwhile. Both take the index as it is at this moment. `image-search index FILE` puts it
    back, into an index of the same model as it was.
    """
    console = Console(stderr=True)
    source = click.get_current_context().get_parameter_source("server")
    if source is ParameterSource.COMMANDLINE:
        from image_search.cli.export.served import export_service  # noqa: PLC0415 - so that --help is fast

        with client_of(server, api_key) as client:
            rows = export_service(console, file, client)
    else:
        local = engine_module("cli.offline.export", "image-search export without --server")
        rows = local.export_here(console, file)
    click.echo(f"{rows:,} images are in {shown(file)}.")
