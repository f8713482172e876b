"""`image-search export` as a person calls it."""

from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def export(file: Path) -> None:
    """Write every image of the index, with its vector, to a Parquet FILE.

    The index is the folder IMAGE_SEARCH_STORE_URI, as it is at this moment; the service may run
    beside. Columns: id, url, created_at, text, one for each metadata key, and vector.
    """
    import asyncio  # noqa: PLC0415 - only what a command needs, so that --help answers at once

    from api.settings import SettingsError  # noqa: PLC0415
    from cli.offline.export import export as run  # noqa: PLC0415
    from cli.query.shown import shown  # noqa: PLC0415
    from store.errors import StoreError  # noqa: PLC0415

    try:
        rows = asyncio.run(run(Console(stderr=True), file))
    except StoreError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise click.ClickException(shown(f"{error}{detail}")) from error
    except (SettingsError, OSError) as error:
        raise click.ClickException(shown(str(error))) from error
    except KeyboardInterrupt:
        raise click.Abort from None
    click.echo(f"{rows:,} images are in {shown(str(file))}.")
