"""Rules that look into pictures again: by the same detector, another one, and for another model."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import rule

from store.offline.embedding import Embedded, EmbedRequest
from store.offline.outcome import Outcome
from store.offline.redetect import go_over
from store.offline.reembed import Reembedding
from store.schemas import NewObjects
from store.settings import StoreSettings
from tests.store.differential.machine.machine import (
    DETECTORS,
    HANDLES,
    IDS,
    MODELS,
    Machine,
    counts,
    exact,
)
from tests.store.differential.strategies import objects, seeded
from tests.store.offline.moving import Done, Heard
from tests.store.support import DIM

PIXELS = st.sampled_from([None, None, "p1", "p2"])


def _found(rng: Random) -> NewObjects:
    while (found := objects(rng)) is None:
        pass
    return found


class Looks(Machine):
    """Each rule does the same to the table and to the model."""

    @rule(handle=HANDLES, own=IDS, pixels=PIXELS, found=seeded(_found))
    def look_again(self, handle: int, own: str, pixels: str | None, found: NewObjects) -> None:
        """What `redetect` stores of an image."""
        self._same(
            "look again",
            lambda: self.indexes[handle].put_objects(own, pixels, found),
            lambda: self._seen_by(self.model.put_objects(own, pixels, found)),
        )
        self._remember()

    @rule(handle=HANDLES, own=IDS)
    def another_detector(self, handle: int, own: str) -> None:
        """The other one takes over; what it finds is all that counts as looked into."""
        counts["another detector"] += 1
        before, after = self.detector, DETECTORS[self.detector is DETECTORS[0]]
        seen = [row.found_by for row in self.model.rows.values() if row.objects is not None]
        gone = self._run(go_over(self._settings, after))
        assert (gone.before, gone.images) == (before, sum(by != after for by in seen))
        self.detector = self.model.detector = after
        self._reopen()
        found, row = self._run(self.indexes[handle].objects(own)), self.model.rows.get(own)
        assert (found is None) is (row is None or row.objects is None)
        self._remember()

    @rule(handle=HANDLES)
    def not_looked_into(self, handle: int) -> None:
        counts["not looked into"] += 1
        index, rows = self.indexes[handle], self.model.rows
        expected = {own for own, row in rows.items() if row.found_by != self.detector}
        found, _ = self._run(index.matching({"$objects": None}))
        assert set(found) == expected
        assert self._run(index.count({"$not": {"$objects": None}})) == len(rows) - len(expected)
        for own in sorted(rows)[:3]:
            stored, by = self._run(index.objects(own)), rows[own].found_by
            earlier = None if stored is None else index.earlier_detector(stored)
            assert earlier == (None if by == self.detector else by)

    @rule(stop=st.integers(0, 3), donors=st.booleans())
    def another_model(self, stop: int, donors: bool) -> None:
        """All is embedded again, broken off after so many; versions of before are gone."""
        counts["another model"] += 1
        self.made_by = MODELS[self.made_by is MODELS[0]]
        count = len(self.model.rows)
        if 0 < stop < count:
            assert not self._run(self._moved(stop, donors=False)).switched
        outcome = self._run(self._moved(count, donors=donors))
        assert outcome == Outcome(count, 0, switched=True)
        self._reopen()
        self.versions.clear()
        self.moments.clear()
        self._remember()

    async def _moved(self, most: int, *, donors: bool) -> Outcome:
        """A run of `reembed`, in which all but so many images fail."""

        async def embed(wanted: AsyncIterator[EmbedRequest], done: Done) -> None:
            left = most
            async for each in wanted:
                left -= 1
                await done(Embedded(each.id, None, "x") if left < 0 else self._embedded(each))

        async with Reembedding.opened(self._settings) as work:
            if not donors:
                await work.delete_old()
            return await work.run(self.made_by, embed, Heard(), leave_out_failed=False)

    def _embedded(self, each: EmbedRequest) -> Embedded:
        row = self.model.rows[each.id]
        assert (row.objects is None) is (each.objects is None)
        if row.objects is None or each.objects is None:
            return Embedded(each.id, row.vector)
        assert each.objects.boxes == row.objects.boxes
        vectors = row.objects.vectors if row.objects.boxes else np.empty((0, DIM), np.float32)
        return Embedded(each.id, row.vector, objects=vectors)

    def _seen_by(self, own: str | None) -> Any:
        return None if own is None else (own, exact(self.model.metadata(own)))

    @property
    def _settings(self) -> StoreSettings:
        return StoreSettings(store_uri=self.uri)
