"""The commands that work on a table without a service: reembed and check."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from image_search.cli.terminal import failures_option, shown

if TYPE_CHECKING:
    from store.offline.repair import Examined


@click.command()
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
@failures_option(
    "File for the list of images that could not be embedded: JSON lines with url and reason."
)
@click.option("--leave-out-failed", is_flag=True, help="Switch over without these images.")
@click.option("--start-over", is_flag=True, help="Discard what an earlier run has half made.")
@click.option("--delete-old", is_flag=True, help="Delete the tables of earlier models at the end.")
def reembed(**options: Any) -> None:
    """Move the index to another model, while the service goes on.

    The settings (IMAGE_SEARCH_CLIP_MODEL and so on) name the new model. Every image is fetched
    again and embedded into a new table, which takes the old one's place once it is complete. Can
    be interrupted at any time: started again, it goes on where it stopped.
    """
    with errors_in_one_line():
        from cli.offline.reembed import ReembedOptions  # noqa: PLC0415 - so that --help is fast
        from cli.offline.reembed import reembed as run  # noqa: PLC0415

        asyncio.run(run(_plain_console(), ReembedOptions(**options)))


@click.command()
@click.option("--repair", "mend", is_flag=True, help="Go on without what is damaged or lost.")
def check(mend: bool) -> None:
    """Look at every file of the index for damage, and read every image's row.

    With --repair, the index is made usable again without the images whose files are damaged. Stop
    the service first, and copy the folder. The exit status is 1 while something is wrong.
    """
    with errors_in_one_line():
        is_whole = asyncio.run(_checked(_plain_console(), mend=mend))
    if not is_whole:
        sys.exit(1)


async def _checked(console: Console, *, mend: bool) -> bool:
    """Print what is damaged, and repair the index if `mend`; returns whether it is whole."""
    from store.offline.repair import examine, repair  # noqa: PLC0415 - so that --help is fast
    from store.settings import StoreSettings  # noqa: PLC0415

    settings = StoreSettings()
    found = await examine(settings)
    for line in _findings(found):
        console.print(line)
    if found.is_whole or not mend:
        return found.is_whole
    os.umask(settings.umask)
    mended = await repair(settings)
    console.print(f"Repaired: {mended.rows} images are left.")
    return mended.is_whole


def _findings(found: "Examined") -> list[str]:
    if found.is_whole:
        return [f"The index is whole: {found.rows} images, version {found.version}."]
    lines = [f"{file} is damaged or missing." for file in found.damage.files]
    if found.damage.rows:
        lines.append(f"These files hold {found.damage.rows} of {found.rows} images.")
    lines += [
        f"The index {name} has lost files; the next start makes it anew."
        for name in found.damage.indexes
    ]
    if found.acknowledged > found.version:
        there = f"the newest that is there is {found.version}" if found.version else "none is there"
        lines.append(f"Version {found.acknowledged} was acknowledged, but {there}.")
    return [*lines, "A backup of the folder has what is lost; --repair goes on without it."]


def _plain_console() -> Console:
    return Console(soft_wrap=True, markup=False, highlight=False)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Context manager that ends the command with one line where its block fails.

    Unlike the service's clients, who sits at a terminal may see the detail, which only the
    service's log has.
    """
    from api.settings import SettingsError  # noqa: PLC0415 - so that --help is fast
    from images.fetch.headers import HeadersError  # noqa: PLC0415
    from runners.errors import RunnerError  # noqa: PLC0415
    from store.errors import StoreError  # noqa: PLC0415

    try:
        yield
    except (StoreError, RunnerError) as error:
        # An OSError names its file in its text only, not in its `repr`, which is the detail.
        cause = str(error.__cause__) if isinstance(error.__cause__, OSError) else error.detail
        raise click.ClickException(shown(f"{error} ({cause})" if cause else error)) from error
    except (SettingsError, HeadersError, OSError) as error:
        raise click.ClickException(shown(error)) from error
