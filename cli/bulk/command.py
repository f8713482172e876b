"""The command `image-search bulk`: its options, and how its errors read."""

import asyncio
import os
import sys
from pathlib import Path
from secrets import token_hex
from typing import Any

import click

from cli.offline.commands import errors_in_one_line
from image_search.cli.index.options import reading_of, reading_options
from image_search.cli.terminal import failures_option, shown


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--ray",
    required=True,
    metavar="ADDRESS",
    help="The cluster: HOST:PORT of its head, auto for the one that this machine is in, or local"
    " for this machine alone.",
)
@click.option(
    "--state",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run, which all machines see under this path; it is made.",
)
@reading_options
@click.option(
    "--shard-rows",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Rows that are embedded and committed as one: what a loss costs at most.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 10_000),
    help="Workers in all.  [default: one for each GPU, without any one for each machine]",
)
@click.option("--worker-cpus", type=click.FloatRange(0.1), help="Cores of each, as Ray counts.")
@click.option("--worker-gpus", type=click.FloatRange(0), help="GPUs of each; a part is allowed.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["add", "skip"]),
    default="add",
    show_default=True,
    help="What to do with a picture that another image has.",
)
@click.option("--exif", is_flag=True, help="Add what EXIF tells to the metadata.")
@failures_option("File for the list of rows that failed: JSON lines, which can be a SOURCE.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed in the runs before.")
@click.option("--start-over", is_flag=True, help="Forget the runs before, and read SOURCE anew.")
@click.option(
    "--stall",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    help="Seconds without a row after which a worker counts as lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers at the end as JSON.")
def bulk(sources: tuple[str, ...], **given: Any) -> None:
    """Index very many images by the machines of a Ray cluster, while the service goes on.

    A SOURCE is as for `image-search index`. The settings (IMAGE_SEARCH_STORE_URI, ..._CLIP_MODEL
    and so on) are those of the service: call this where its index is. Killed at any moment and
    started again, it goes on where it stopped. What others have added, changed or deleted since
    its begin stays as they left it. Exit status: 0 all are indexed, 1 some failed, 2 wrong usage.
    """
    _before_ray(given["ray"])
    try:
        import ray  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise click.ClickException(
            "Ray is not installed: `uv sync --extra bulk`, on each machine of the cluster"
        ) from error
    from cli.bulk.plan import BulkError  # noqa: PLC0415 - so that --help is fast
    from cli.bulk.run import BulkOptions, run_bulk  # noqa: PLC0415
    from image_search.cli.tables.rows import SourceError  # noqa: PLC0415

    try:
        reading = reading_of(given)
        with errors_in_one_line():
            code = asyncio.run(run_bulk(sources, reading, BulkOptions(**given)))
    except (SourceError, ValueError) as error:
        raise click.UsageError(shown(error)) from error
    except BulkError as error:
        raise click.ClickException(shown(error)) from error
    sys.exit(code)


def _before_ray(address: str) -> None:
    """Set what Ray reads when it is imported, and not again.

    A cluster of this process's own listens on all addresses of the machine, whatever it is told,
    and runs what it is sent: a token keeps others out.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
