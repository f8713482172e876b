"""A real table and a model of it side by side: what all rules of the differential test share."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from store.errors import StoreError, StoreFault
from store.index import ImageIndex
from store.schemas import Detector, Hit, ModelIdentity, StoredImage, image_id
from store.settings import StoreSettings
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import Refused
from tests.store.differential.strategies import filter_, seeded, url
from tests.store.objects.objects import DETECTOR
from tests.store.support import DIM, IDENTITY

# A Rust panic inside of LanceDB leaves its caller waiting for ever.
OPERATION_TIMEOUT_S = 60
EVERYTHING = 1000
MEMORY_MB = (64, 0)
SETTLED_S = 5.0
DETECTORS = (DETECTOR, Detector("yolo-other.pt", DETECTOR.recipe))
MODELS = (IDENTITY, ModelIdentity("ViT-Other", "seeded", DIM))
"""Of equal vectors, so that the model of the table need not know which one made them."""

HANDLES = st.integers(0, 1)
IDS = seeded(url).map(image_id) | st.sampled_from(["0" * 32, "", "' OR true --"])
FILTERS = seeded(filter_)
DELETES = st.lists(IDS, max_size=4)

counts: Counter[str] = Counter()
bucket: list[str] = []
"""The URI below which tables are made, where that is no folder."""


class Machine(RuleBasedStateMachine):
    """A table with two handles on it, the model, and how their answers are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.uri = f"{bucket[0]}/{uuid4().hex}" if bucket else str(self.folder)
        self.model = ModelTable()
        self.versions: dict[int, ModelTable] = {}
        self.moments: dict[datetime, ModelTable] = {}
        self.authors = count()
        self.detector = self.model.detector = DETECTORS[0]
        self.made_by = MODELS[0]
        # One of them holds the rows in memory, the other reads each from the disk.
        self.indexes = [self._run(self._open(megabytes)) for megabytes in MEMORY_MB]
        self._remember()

    def teardown(self) -> None:
        for index in self.indexes:
            self._run(index.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def _same(
        self, name: str, asked: Callable[[], Awaitable[Any]], expected: Callable[[], Any]
    ) -> None:
        counts[name] += 1
        answer = outcome(lambda: self._run(asked()))
        if isinstance(answer, list):
            answer = [self._same_hit(hit) for hit in answer]
        found, wanted = comparable(answer), outcome(expected)
        # A run by itself has no pytest to say what was compared.
        assert found == wanted, f"{name}: {found!r} ({answer!r}), the model: {wanted!r}"

    def _same_image(self, found: StoredImage | Hit) -> str:
        row = self.model.rows[found.id]
        assert found.url == row.url
        assert exact(found.metadata) == exact(self.model.metadata(found.id))
        return found.id

    def _same_hit(self, hit: Hit) -> str:
        return self._same_image(hit)

    def _remember(self) -> None:
        """Keeps what this version of the table holds, to go back to it later."""
        version = self._run(self.indexes[0].versions())[0]
        self.versions[version.version] = self.moments[datetime.now(UTC)] = self.model.copy()

    async def _open(self, memory_mb: int) -> ImageIndex:
        # Compaction, too, comes every few commits by itself, and large bursts are several commits.
        rare = StoreSettings(
            store_uri=self.uri,
            store_upkeep_every=5,
            store_max_commit_rows=6,
            store_memory_mb=memory_mb,
        )
        index = await ImageIndex.open(rare, self.made_by, detector=self.detector)
        assert index._upkeep.objects is not None
        # Objects that no version names go while others are written, but not those on their way.
        index._upkeep.objects.settled_s = SETTLED_S
        return index

    def _reopen(self) -> None:
        """Closes both handles, and opens them with the detector and the model of now."""
        for index in self.indexes:
            self._run(index.close())
        self.indexes = [self._run(self._open(megabytes)) for megabytes in MEMORY_MB]

    def _run(self, asked: Awaitable[Any]) -> Any:
        return self.runner.run(asyncio.wait_for(asked, OPERATION_TIMEOUT_S))


def outcome(asked: Callable[[], Any]) -> Any:
    """What was answered, or the class of the error."""
    try:
        return asked()
    except StoreFault:  # nothing here may fail, and what did is to be seen
        raise
    except StoreError as error:
        return type(error)
    except Refused as refused:
        return refused.error


def nothing(_: Any) -> None:
    """Stands for an answer that only matters as not being an error."""


def comparable(answer: Any) -> Any:
    if isinstance(answer, StoreError):
        return type(answer)
    if isinstance(answer, StoredImage):
        return answer.id, exact(answer.metadata)
    return answer


def exact(metadata: Any) -> Any:
    """In a form in which 1, 1.0 and True differ, 0.0 and -0.0 too; keys have no order."""
    if isinstance(metadata, dict):
        return {key: exact(value) for key, value in metadata.items()}
    return repr(metadata)
