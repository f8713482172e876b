"""A user of the service while a bulk run is at its table: adds, patches, deletes and searches."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from image_search import Client, ImageSearchError, NotFoundError
from store.schemas import image_id
from tests.cli.outages.tables import Item

Metadata = dict[str, Any] | None
"""An image's metadata; None where there is no such image."""


class User:
    """Changes images that the run brings, too, and never one of them twice at once.

    Args:
        server: address of the service.
        items: of which it changes some; all are good rows.

    Attributes:
        states: what images must be that it was told to have changed, by their numbers.
        doubtful: numbers of those of which a change was not answered.
        asked_to_add: numbers of those that it has added, which the service has fetched.
        answers: how often it got which.
    """

    def __init__(self, server: str, items: Sequence[Item]) -> None:
        self.states: dict[int, Metadata] = {}
        self.doubtful, self.asked_to_add = set[int](), set[int]()
        self.answers: Counter[str] = Counter()
        self._server, self._items = server, items
        self._drawn, self._sequence = random.Random(7), 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._change, self._search)]

    def begin(self) -> None:
        """From now on the run has to leave alone what this user changes."""
        for one in self._threads:
            one.start()

    def end(self) -> None:
        """Change nothing any more."""
        self._ended.set()
        for one in self._threads:
            if one.ident is not None:
                one.join()

    def _change(self) -> None:
        kinds = {"add": self._add, "patch": self._patch, "delete": self._delete}
        with Client(self._server) as client:
            while not self._ended.wait(self._drawn.uniform(0, 0.2)):
                [kind] = self._drawn.choices(list(kinds), [2, 4, 1])
                item = self._drawn.choice(self._items)
                self._sequence += 1
                try:
                    kinds[kind](client, item)
                    self.answers[kind] += 1
                except NotFoundError:
                    self.answers[f"{kind} of what is not there"] += 1
                except ImageSearchError as error:
                    self.doubtful.add(item.number)
                    self.answers[f"failed {kind}: {error}"] += 1

    def _search(self) -> None:
        with Client(self._server) as client:
            while not self._ended.wait(0.1):
                try:
                    client.search("a red bus")
                    self.answers["search"] += 1
                except ImageSearchError as error:
                    self.answers[f"failed search: {error}"] += 1

    def _add(self, client: Client, item: Item) -> None:
        self.asked_to_add.add(item.number)
        own = {"number": item.number, "user": self._sequence}
        client.add(item.url, own)
        self.states[item.number] = own

    def _patch(self, client: Client, item: Item) -> None:
        client.update(image_id(item.url), {"user": self._sequence})
        before = self.states.get(item.number) or item.metadata
        self.states[item.number] = {**before, "user": self._sequence}

    def _delete(self, client: Client, item: Item) -> None:
        client.delete(image_id(item.url))
        self.states[item.number] = None
