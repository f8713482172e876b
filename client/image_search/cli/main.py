"""The command `image-search`: its subcommands."""

import click

from image_search.cli.engine import Commands, engine_commands
from image_search.cli.export.command import export
from image_search.cli.index.command import index
from image_search.cli.query.changes import log, undo
from image_search.cli.query.detect import detect
from image_search.cli.query.images import delete, get, update
from image_search.cli.query.redetect import redetect
from image_search.cli.query.search import search
from image_search.cli.query.table import declare_column, drop_column, status


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="image-search-client")
def main() -> None:
    """Search images by picture, by metadata or by text, and find the objects in them."""


_QUERIES = (index, search, detect, get, delete, update, status, log, undo, redetect)
_TABLES = (declare_column, drop_column, export)
for command in (*_QUERIES, *_TABLES, *engine_commands()):
    main.add_command(command)


if __name__ == "__main__":
    main()
