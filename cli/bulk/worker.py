"""Worker of a bulk run: takes the rows of a shard to images with vectors, on one machine.

The same steps as an add to the service, by the same code: the guarded download, the sandboxed
decoder, the models in batches. Only the models are in this process.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from api.pipeline.backend import Backend, Models
from api.pipeline.boxes import RECIPE
from api.pipeline.downloads import HostLimits
from api.pipeline.exif import from_exif, with_exif
from api.pipeline.model_call import ModelCall
from api.pipeline.objects import embedded
from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.routes.handler import reported
from api.settings import Settings
from cli.bulk.plan import Plan, State
from cli.bulk.planning import Numbered, given_of, read_rows
from cli.bulk.staged import write_staged
from cli.offline.export import whole_image
from image_search import WholeImage
from image_search.cli.index.errors import may_pass
from image_search.cli.index.files import loaded
from image_search.cli.tables.rows import Row
from runners.clip.recipe import load_clip
from runners.schemas import Serving
from runners.serving.service import CALL_ITEMS, LANES
from runners.yolo.recipe import load_yolo
from store.schemas import image_id
from store.transfer.whole_row import WholeRow

RETRIES = 2
_FIRST_PAUSE_S = 1.0


class LocalModel:
    """A model in this process, called as the client of its service is."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._threads = ThreadPoolExecutor(LANES, "model")
        self.info = model.info
        self.to_async = self

    async def call(self, method: str, argument: Any) -> Any:
        """Compute a batch in a thread."""
        run = getattr(self._model, method)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, argument)


class ShardWorker:
    """Embeds shards, one at a time; lives in one event loop.

    Args:
        settings: of the whole service.
        hosts: the limits of downloads.

    Attributes:
        done: rows since it began, for who wants to see that it goes on.

    Raises:
        RunnerError: a model cannot be loaded.
    """

    def __init__(self, settings: Settings, hosts: HostLimits | None = None) -> None:
        self.done = 0
        # Not even uploads' files: they are where they came from.
        api = settings.api.model_copy(update={"keep_originals": "none"})
        self._settings = replace(settings, api=api)
        self._backend = _backend(self._settings, Pictures(self._settings, hosts))

    @property
    def model(self) -> tuple[str, str, int]:
        """Name, pretrained and length of the vectors."""
        clip = self._backend.models.clip
        return clip.model, clip.pretrained, clip.dim

    @property
    def detector(self) -> tuple[str, str] | None:
        """Name and recipe of what finds the objects; None where none are looked for."""
        if not self._settings.api.objects:
            return None
        return self._backend.models.yolo.weights, RECIPE

    async def embed(self, state: State, plan: Plan, shard: int) -> dict[str, Any]:
        """Embed the rows of a shard, write the images down and then the mark; returns the mark.

        Raises:
            OSError: the folder of the state cannot be read or written.
        """
        began = time.monotonic()
        rows = iter(await asyncio.to_thread(lambda: list(read_rows(state, shard))))
        images: list[tuple[int, WholeImage]] = []
        failures: list[dict[str, Any]] = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.api.download_threads):
                tasks.create_task(self._some(rows, plan, images, failures))
        images.sort(key=lambda one: one[0])
        name = token_hex(4)
        path = state.staged_file(shard, name)
        await asyncio.to_thread(write_staged, path, [image for _, image in images], plan)
        told = {"file": name, "rows": len(images), "seconds": time.monotonic() - began}
        mark = {**told, "failures": sorted(failures, key=lambda one: one["number"])}
        await asyncio.to_thread(state.set_mark, shard, "staged", mark)
        return mark

    def close(self) -> None:
        """Take no more work."""
        self._backend.pictures.close()

    async def _some(
        self,
        rows: Iterator[Numbered],
        plan: Plan,
        images: list[tuple[int, WholeImage]],
        failures: list[dict[str, Any]],
    ) -> None:
        for number, row in rows:
            made = await self._made(number, row, plan)
            if isinstance(made, WholeImage):
                images.append((number, made))
            else:
                failures.append(made)
            self.done += 1

    async def _made(self, number: int, row: Row, plan: Plan) -> WholeImage | dict[str, Any]:
        """The image of a row, or why there is none."""
        row = await asyncio.to_thread(loaded, row) if row.file else row
        if row.problem or not row.url:
            code = ("bad_file" if row.file else "bad_row") if row.problem else "no_url"
            return failure(number, row, code, row.problem or "the row has no url")
        if not is_text([row.url, row.id, row.metadata]):
            return failure(number, row, "bad_row", "the row has a text that is no Unicode")
        for attempt in range(RETRIES + 1):
            try:
                return await self._image(number, row, plan)
            except Exception as error:  # fails this row alone
                problem = reported("bulk", error)
            told = failure(number, row, problem.code or "failed", problem.message)
            if attempt == RETRIES or not may_pass(told):
                break
            await asyncio.sleep(_FIRST_PAUSE_S * 4**attempt)
        return told

    async def _image(self, number: int, row: Row, plan: Plan) -> WholeImage:
        made = await embedded(self._backend, Source(row.url, row.data), exif=plan.exif)
        metadata, picture = row.metadata, made.picture
        if plan.exif and (brought := from_exif(metadata, picture.exif)):
            metadata = with_exif(metadata, brought)
        what = (row.id or image_id(row.url), row.url, plan.date_of(number), metadata, made.vector)
        files = (picture.digest, None, picture.thumbnail)
        return whole_image(WholeRow(*what, *files, made.objects))


def failure(number: int, row: Row, code: str, reason: str) -> dict[str, Any]:
    """What is told of a row that failed; `given` makes the row again."""
    named = {**row.subject, "code": code, "reason": reason, "row": row.given}
    return {"number": number, "given": given_of(row), "failure": named}


def is_text(given: Any) -> bool:
    """Whether a value can be written as JSON in UTF-8: half a pair of surrogates cannot."""
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _backend(settings: Settings, pictures: Pictures) -> Backend:
    """What the pipeline of an add works with, of which it needs no table."""
    clip = LocalModel(load_clip(settings.models))
    yolo = LocalModel(load_yolo(settings.models)) if settings.api.objects else None
    most: dict[str, Any] = {"calls": LANES, "items": CALL_ITEMS}
    models = Models(
        clients=(clip, yolo),
        clip=clip.info,
        yolo=cast(Any, yolo and yolo.info),
        serving=(Serving(LANES, CALL_ITEMS), Serving(LANES, CALL_ITEMS)),
        encode_image=ModelCall(clip, "encode_images", np.stack, **most),
        encode_text=ModelCall(clip, "encode_texts", list, **most),
        detect=ModelCall(yolo or clip, "detect", list, **most),
    )
    logging.getLogger("bentoml").setLevel(logging.ERROR)
    no_index = SimpleNamespace(keep_original=None)
    slots = asyncio.Semaphore(LANES)
    parts = {"settings": settings, "models": models, "pictures": pictures, "index": no_index}
    return cast(Backend, SimpleNamespace(**parts, object_slots=slots))
