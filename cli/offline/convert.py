"""The command convert: models made ready for a start without torch."""

import click
from rich.console import Console

from cli.offline.commands import errors_in_one_line


@click.command()
def convert() -> None:
    """Convert the models for OpenVINO ahead, so that the service starts sooner and smaller.

    The settings (IMAGE_SEARCH_CLIP_MODEL and so on) name the models, and IMAGE_SEARCH_CACHE_DIR the
    folder that they are kept in. A service that finds them there needs neither their weights nor
    torch, open_clip and ultralytics; they may be copied to another machine. The first start of a
    service does the same by itself.
    """
    with errors_in_one_line():
        from runners.convert import convert_all  # noqa: PLC0415 - so that --help is fast
        from runners.settings import ModelSettings  # noqa: PLC0415

        found = convert_all(ModelSettings())
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for each in found:
        reason = each.verdict.reason or "which is faster"
        way = {"torch": f"by torch: {reason}", "openvino": "by OpenVINO"}[each.verdict.runtime]
        console.print(
            f"{each.model.upper()} ({each.label}): computed here in {each.precision} {way}"
        )
        if each.size:
            console.print(f"  {each.size / 1e6:.0f} MB in {each.folder}")
