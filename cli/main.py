"""The `image-search` command: what it offers, and how its failures read."""

import signal
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from cli.index.index_command import index
from cli.offline.export_command import export
from cli.query.query_commands import delete, detect, get, search, status

NARROWEST = 110
"""Columns of the demo's tables where the output is no terminal, so that URLs stay whole."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="image-search-engine")
def main() -> None:
    """Search images by picture, by metadata or by text, and find the objects in them."""


@main.command()
@click.option("--exit", "leave", is_flag=True, help="End the service after the demo.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the pictures that the demo makes.",
)
@click.option(
    "--scenes",
    type=click.IntRange(50, 5000),
    default=300,
    show_default=True,
    help="How many pictures to index.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page in your browser.")
def demo(leave: bool, output: Path, scenes: int, no_browser: bool) -> None:
    """Show the whole service at work, offline: index, search, detect.

    Draws some hundred pictures, serves them on loopback, and runs the real service with the small
    models that ship with the project. Leaves it running for you to try, in your browser.
    """
    import requests  # noqa: PLC0415 - only what a command needs, so that --help answers at once

    from demo.process import ServiceError  # noqa: PLC0415
    from demo.show.run import run_demo  # noqa: PLC0415

    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)  # whatever ends it, the service ends too
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else NARROWEST)
    browse = is_terminal and not no_browser
    try:
        run_demo(console, output, scenes=scenes, leave=leave, browse=browse)
    except (ServiceError, requests.RequestException, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None


@main.command()
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="The most pictures that the model is given at once.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="How often a download is tried again after a fault that may pass.",
)
@click.option(
    "--failures",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File to list images in that could not be embedded: JSON lines with url and reason.",
)
@click.option("--leave-out-failed", is_flag=True, help="Switch over without these images.")
@click.option("--start-over", is_flag=True, help="Throw away what an earlier run has half made.")
@click.option("--delete-old", is_flag=True, help="Delete the tables of earlier models at the end.")
def reembed(**options: Any) -> None:
    """Move the index to another model, while the service goes on.

    The settings (IMAGE_SEARCH_CLIP_MODEL and so on) name the new model. Every image is fetched
    again and embedded into a new table, which takes the old one's place once it is complete. Can
    be interrupted at any time: started again, it goes on where it stopped.
    """
    import asyncio  # noqa: PLC0415 - only what a command needs, so that --help answers at once

    from api.settings import SettingsError  # noqa: PLC0415
    from cli.offline.reembed import ImagesFailedError, ReembedOptions  # noqa: PLC0415
    from cli.offline.reembed import reembed as run  # noqa: PLC0415
    from runners.errors import RunnerError  # noqa: PLC0415
    from store.errors import StoreError  # noqa: PLC0415

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        asyncio.run(run(console, ReembedOptions(**options)))
    except (StoreError, RunnerError) as error:
        # Unlike the service's clients, who sits at a terminal may see what only its log has.
        # An OSError names its file in its text only, not in its `repr`, which is the detail.
        cause = str(error.__cause__) if isinstance(error.__cause__, OSError) else error.detail
        raise click.ClickException(f"{error} ({cause})" if cause else str(error)) from error
    except (SettingsError, ImagesFailedError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.Abort from None


@main.command()
@click.option("--repair", "mend", is_flag=True, help="Go on without what is damaged or lost.")
def check(mend: bool) -> None:
    """Look at every file of the index for damage, and read every image's row.

    With --repair, the index is made usable again without the images whose files are damaged. Stop
    the service before, and copy the folder. The exit status is 1 while something is wrong.
    """
    import asyncio  # noqa: PLC0415 - only what a command needs, so that --help answers at once

    from cli.offline.check import check as run  # noqa: PLC0415
    from store.errors import StoreError  # noqa: PLC0415

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        whole = asyncio.run(run(console, mend=mend))
    except StoreError as error:
        raise click.ClickException(
            f"{error} ({error.detail})" if error.detail else str(error)
        ) from error
    if not whole:
        sys.exit(1)


for command in (index, search, detect, get, delete, status, export):
    main.add_command(command)


if __name__ == "__main__":
    main()
