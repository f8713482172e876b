"""`image-search redetect --begin`: the index goes over to the detector of the settings."""

import asyncio
import os

import click

from cli.offline.commands import errors_in_one_line


def begin_redetection() -> None:
    """Make the settings' detector that of the index, and tell what is left to do.

    Raises:
        ClickException: there is no index, it cannot be written, or the weights are not there.
    """
    with errors_in_one_line():
        from api.pipeline.boxes import RECIPE  # noqa: PLC0415 - so that --help is fast
        from api.settings import Settings  # noqa: PLC0415
        from runners.weights.source import identity_of, yolo_source  # noqa: PLC0415
        from store.offline.redetect import go_over  # noqa: PLC0415
        from store.schemas import Detector  # noqa: PLC0415

        settings = Settings.from_environment()
        os.umask(settings.store.umask)
        detector = Detector(identity_of(yolo_source(settings.models)), RECIPE)
        done = asyncio.run(go_over(settings.store, detector))
    if done.before is None:
        click.echo("Nothing to do: the index has no objects, and any detector may begin.")
        return
    if done.before == detector and not done.images:
        click.echo(f"Nothing to do: the objects of the index are of the detector {detector}.")
        return
    click.echo(
        f"From the detector {done.before}\nto the detector   {detector}\n"
        f"{done.images:,} images are to be looked into again: start the service with these"
        " settings, and call `image-search redetect` without --begin."
    )
