"""Clients of `soak`: mixed traffic, and what the table must have because of it.

Each client has images of its own and one request at a time, so that it is known of each image what
was acknowledged last. A change that was refused or not answered leaves it in doubt: both outcomes
are right, until the next acknowledged change.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.load.generator import OK, REFUSED
from bench.load.http import NO_ANSWER, Client, request_bytes
from bench.load.traffic import SLOW_HOSTS, documented_codes, photo_url, port_of
from store.schemas import image_id

CALM = "calm"
SLOTS = 10
BATCH = 8
State = dict[str, Any] | None
"""An image's metadata; None where there is no such image."""
MISSING = 404
UNTOUCHED = frozenset(
    {"host_unreachable", "bad_answer", "fetch_timeout", "model_unavailable", "overloaded"}
)
"""Codes of refusals that come before anything is written."""
_KINDS = {
    "add": 4,
    "add_many": 1,
    "read": 9,
    "filter": 3,
    "get": 3,
    "patch": 2,
    "delete": 1,
    "bad": 3,
}
"""Requests by their weights; each is a method of `SoakClient`."""
_BAD_FILES = ("missing.jpg", "text", "bomb.png", "cut.jpg", "gzip.jpg", "loop")
_SEARCH = "search_simmilar_images"


class Heard(NamedTuple):
    """An answer to one request; its phase is the fault that there was before the answer."""

    phase: str
    route: str
    status: int
    code: str
    seconds: float


@dataclass
class Ledger:
    """Answers, and what the table must have: of each url the states that it may be in; answers
    that contradict what was acknowledged; acknowledged changes. The phase is the current fault.
    """

    phase: str = CALM
    last_fault: str = CALM
    faults: int = 0
    heard: list[Heard] = field(default_factory=list)
    possible: dict[str, list[State]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)

    def begin(self, fault: str) -> None:
        self.phase = self.last_fault = fault
        self.faults += 1

    def states(self, url: str) -> list[State]:
        return self.possible.get(url, [None])

    def changed(self, what: str, url: str, after: State) -> None:
        """A change was acknowledged."""
        self.possible[url] = [after]
        self.acknowledged[what] += 1

    def doubted(self, url: str, after: Sequence[State]) -> None:
        """A change may or may not have been made."""
        states = self.states(url)
        self.possible[url] = states + [state for state in after if state not in states]

    def saw(self, what: str, url: str, state: State) -> None:
        """An answer told an image's state; it is the one that is true."""
        if state not in self.states(url):
            self.wrong[f"{what} told another state than was acknowledged"] += 1
        self.possible[url] = [state]


class SoakClient:
    """One client and its images, on the file server at the URL `files`."""

    def __init__(self, http: Client, files: str, number: int, ledger: Ledger) -> None:
        self._http, self._files = http, files
        self._number, self._ledger = number, ledger
        self._drawn = random.Random(number)  # noqa: S311
        self._sequence = 0

    async def run(self, pause_s: float, ended: asyncio.Event) -> None:
        """Ask one thing after another, with pauses of this mean, until it is enough."""
        while not ended.is_set():
            [kind] = self._drawn.choices(list(_KINDS), list(_KINDS.values()))
            await getattr(self, kind)()
            await asyncio.sleep(self._drawn.expovariate(1 / pause_s))

    async def add(self) -> None:
        url = self._own()
        body = {"url": url, "metadata": (metadata := self._new(url))}
        status, code, _ = await self.ask("add", "POST", "post_image_to_index", body)
        self._settle("add", url, metadata, status, code)

    async def add_many(self) -> None:
        images = {url: self._new(url) for url in (self._own() for _ in range(BATCH))}
        body = {"images": [{"url": url, "metadata": each} for url, each in images.items()]}
        _, code, said = await self.ask("add many", "POST", "post_images_to_index", body)
        results = said.get("results", [{}] * BATCH)
        for (url, metadata), result in zip(images.items(), results, strict=False):
            done = OK if "id" in result else 400
            self._settle("add many", url, metadata, done, result.get("code", code))

    async def patch(self) -> None:
        url, number = self._own(), self._next()
        states = self._ledger.states(url)
        body = {"metadata": {"patched": number}}
        status, code, said = await self.ask("patch", "PATCH", f"images/{image_id(url)}", body)
        if status == OK:
            before = _without_patch(said["metadata"])
            if before not in map(_without_patch, states):
                self._ledger.wrong["patch answered another image than was acknowledged"] += 1
            self._ledger.changed("patch", url, said["metadata"])
        elif status == MISSING:
            self._ledger.saw("patch", url, None)
        elif code not in UNTOUCHED:
            after = [state and {**state, "patched": number} for state in states]
            self._ledger.doubted(url, after)

    async def delete(self) -> None:
        url = self._own()
        status, code, _ = await self.ask("delete", "DELETE", f"images/{image_id(url)}")
        if status == MISSING:
            self._ledger.saw("delete", url, None)
        else:
            self._settle("delete", url, None, status, code)

    async def get(self) -> None:
        url = self._own()
        status, _, said = await self.ask("get", "GET", f"images/{image_id(url)}")
        if status in (OK, MISSING):
            self._ledger.saw("get", url, said["metadata"] if status == OK else None)

    async def filter(self) -> None:
        url = self._own()
        body = {"metadata": {"client": self._number, "slot": _slot(url)}}
        status, _, said = await self.ask("filter alone", "POST", _SEARCH, body)
        if status == OK:
            hits = said["results"]
            if len(hits) > 1:
                self._ledger.wrong["an image is there twice"] += 1
            self._ledger.saw("filter", url, hits[0]["metadata"] if hits else None)

    async def read(self) -> None:
        photo = {"url": photo_url(self._files, self._drawn.randrange(1000))}
        words = {"metadata": "a red bus"}
        picture, text = ("search by picture", _SEARCH, photo), ("search by text", _SEARCH, words)
        kinds = [picture, picture, text, ("detect", "run_object_detection", photo)]
        what, path, body = self._drawn.choice(kinds)
        await self.ask(what, "POST", path, body)

    async def bad(self) -> None:
        urls = [f"{self._files}/{name}" for name in _BAD_FILES]
        urls += [f"http://{host}:{port_of(self._files)}/slow" for host in SLOW_HOSTS[:2]]
        urls += ["http://169.254.169.254/latest", "http://nowhere.invalid/a.jpg"]
        body = {"url": self._drawn.choice(urls)}
        status, _, _ = await self.ask("bad", "POST", "run_object_detection", body)
        if status == OK:
            self._ledger.wrong["a bad request was answered 200"] += 1

    async def ask(
        self, route: str, method: str, path: str, body: Any = None
    ) -> tuple[int, str, dict[str, Any]]:
        """Send, note the answer, and return its status, code and JSON."""
        phase, faults = self._ledger.phase, self._ledger.faults
        reply = await self._http.ask(request_bytes(method, path, body))
        took = asyncio.get_running_loop().time() - reply.sent
        if phase == CALM and faults != self._ledger.faults:
            phase = self._ledger.last_fault
        self._ledger.heard.append(Heard(phase, route, reply.status, reply.code, took))
        return reply.status, reply.code, reply.json()

    def _settle(self, what: str, url: str, after: State, status: int, code: str) -> None:
        if status == OK:
            self._ledger.changed(what, url, after)
        elif code not in UNTOUCHED:
            self._ledger.doubted(url, [after])

    def _own(self) -> str:
        slot = self._drawn.randrange(SLOTS)
        return f"{photo_url(self._files, slot)}-{self._number}-{slot}"

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _new(self, url: str) -> dict[str, Any]:
        return {"client": self._number, "slot": _slot(url), "sequence": self._next()}


def failure_of(heard: Heard, killed: str) -> str | None:
    """Why an answer is a failure of the service; in the phase `killed` its process was killed."""
    if heard.status == NO_ANSWER:
        is_of_kill = heard.phase == killed and heard.code != "TimeoutError"
        return None if is_of_kill else f"no answer ({heard.code})"
    fine = heard.status in (OK, REFUSED) or (heard.status, heard.code) == (MISSING, "not_found")
    fine = fine or (heard.status == 400 and heard.code in documented_codes())
    return None if fine else f"{heard.status} {heard.code}"


def _slot(url: str) -> int:
    return int(url.rpartition("-")[2])


def _without_patch(state: State) -> State:
    return state and {key: value for key, value in state.items() if key != "patched"}
