"""`image-search reembed`: a new table with another model's vectors, which replaces the index."""

import os
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal

from api.pipeline.boxes import RECIPE
from api.serving.table_model import own_model_is_taken
from api.settings import ENV_PREFIX, Settings
from image_search.cli.progress import FailureFile, WorkBar
from runners.weights.source import clip_source, identity_of
from store.offline.outcome import OldTable, Outcome
from store.offline.reembed import Reembedding
from store.schemas import ModelIdentity

_UNNAMED = f" {ENV_PREFIX}CLIP_MODEL and {ENV_PREFIX}CLIP_PRETRAINED name another one."


@dataclass(frozen=True)
class ReembedOptions:
    """The command's options, by the names that `cli.offline.commands` gives them."""

    batch_size: int
    retries: int
    failures: Path | None
    leave_out_failed: bool
    start_over: bool
    delete_old: bool


class ReembedProgress:
    """Progress of a run, as `store.offline.reembed` reports it: to a bar and a file of failures."""

    def __init__(self, bar: WorkBar, failures: FailureFile) -> None:
        self._bar, self._failures = bar, failures
        self.begin, self.advance = bar.begin, bar.advance

    def failed(self, url: str, reason: str) -> None:
        """Count an image that could not be embedded."""
        self._bar.failed()
        self._failures.add({"url": url, "reason": reason})


async def reembed(console: Console, options: ReembedOptions) -> None:
    """Move the index to the model that the environment names.

    Raises:
        SettingsError: a variable has an invalid value.
        RunnerError: the model cannot be loaded.
        StoreError: there is no index, another process is at it, or a table cannot be used.
        ClickException: some images could not be embedded, so that nothing was switched.
    """
    settings = Settings.from_environment()
    os.umask(settings.store.umask)
    source = clip_source(settings.models)
    model, pretrained = source.architecture, identity_of(source)
    async with Reembedding.opened(settings.store) as work:
        old = await work.model()
        if (old.model, old.pretrained) == (model, pretrained):
            console.print(f"Nothing to do: the index is of the model {old}.")
        elif own_model_is_taken(settings.models, old):
            console.print(f"Nothing to do: the index is of the model {old}.{_UNNAMED}")
        else:
            await work.check_recipe(RECIPE)
            await work.check_half_made(model, pretrained, start_over=options.start_over)
            await _move(console, work, settings, options)
        await _settle_kept(console, work, delete=options.delete_old)


async def _move(
    console: Console, work: Reembedding, settings: Settings, options: ReembedOptions
) -> None:
    # These bring torch: all that can be refused without it was.
    from cli.offline.embedding import Embedder  # noqa: PLC0415
    from runners.clip.recipe import load_clip  # noqa: PLC0415

    model = load_clip(settings.models)
    info = model.info
    identity = ModelIdentity(info.model, info.pretrained, info.dim)
    console.print(f"From the model {await work.model()}\nto the model   {identity}")
    embedder = Embedder(settings, model, batch_size=options.batch_size, retries=options.retries)
    try:
        with FailureFile(options.failures) as failures, WorkBar(console, "embedding") as bar:
            outcome = await work.run(
                identity,
                embedder,
                ReembedProgress(bar, failures),
                leave_out_failed=options.leave_out_failed,
            )
    finally:
        embedder.close()
    _refuse_if_failed(outcome, options)
    console.print(_done(outcome))


def _refuse_if_failed(outcome: Outcome, options: ReembedOptions) -> None:
    if outcome.switched:
        return
    listed = f" (see {options.failures})" if options.failures else " (--failures FILE lists them)"
    raise click.ClickException(
        f"{outcome.failed:,} of {outcome.failed + outcome.images:,} images could not be"
        f" embedded{listed}, so the index was not switched: run this again to try them again,"
        " or with --leave-out-failed to go on without them"
    )


def _done(outcome: Outcome) -> str:
    without = f" (left out: {outcome.failed:,})" if outcome.failed else ""
    bare = (
        f"{outcome.bare:,} of them are without their objects, as their pictures are others by now:"
        " `image-search redetect` looks into those, or add them again.\n"
        if outcome.bare
        else ""
    )
    return (
        f"Done: {outcome.images:,} images are in the index of the new model{without}.\n{bare}"
        "Start the service with the settings of this model; one that still runs with the old"
        " model goes on searching the old table and takes no changes."
    )


async def _settle_kept(console: Console, work: Reembedding, *, delete: bool) -> None:
    """Delete what was the index before, or say what is there."""
    if delete:
        console.print(f"Tables of earlier models deleted: {await work.delete_old()}.")
        return
    for table in await work.old_tables():
        console.print(
            f"Kept, to go back to: the table of the model {table.model}{_size(table)}."
            " `image-search reembed --delete-old` deletes it."
        )


def _size(table: OldTable) -> str:
    return "" if table.size_bytes is None else f", {decimal(table.size_bytes)}"
