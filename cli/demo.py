"""The command `image-search demo`."""

import signal
import sys
from pathlib import Path

import click
from rich.console import Console

MIN_WIDTH = 110
"""Width of the demo's tables where the output is no terminal, so that URLs stay whole."""


@click.command()
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
    import requests  # noqa: PLC0415 - so that --help is fast

    from demo.process import ServiceError  # noqa: PLC0415
    from demo.show.run import run_demo  # noqa: PLC0415

    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)  # whatever ends it, the service ends too
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else MIN_WIDTH)
    browse = is_terminal and not no_browser
    try:
        run_demo(console, output, scenes=scenes, leave=leave, browse=browse)
    except (ServiceError, requests.RequestException, OSError) as error:
        raise click.ClickException(str(error)) from error
