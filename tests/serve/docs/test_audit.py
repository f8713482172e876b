"""docs/audit.md on a day of three keys: each change is told, and one key's are undone."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.process import ServiceProcess
from demo.server import PictureServer
from store.metadata.values import format_timestamp
from store.schemas import image_id
from tests.running import environment
from tests.serve.docs.test_guides import MOMENT, commands_of, run

SHOP, CRAWLER, OPS = KEYS = "shop", "crawler", "ops"
ADDRESSES = {SHOP: "203.0.113.1", CRAWLER: "203.0.113.2", OPS: "2001:db8::3"}
SCOPES = {SHOP: "write", CRAWLER: "admin", OPS: "admin"}
IMAGES = 20
Metadata = dict[str, Any]


def sent_by(key: str) -> dict[str, str]:
    """Headers of a request that comes through a proxy; its client has named another address."""
    forwarded = f"198.51.100.66, {ADDRESSES[key]}"
    return {"Authorization": f"Bearer {key}-key-0123456789", "X-Forwarded-For": forwarded}


class Model:
    """The table in plain Python: metadata by number."""

    def __init__(self) -> None:
        self.images: dict[int, Metadata] = {}
        self.versions: dict[int, dict[int, Metadata]] = {}

    def add(self, n: int, value: int) -> None:
        self.images[n] = {"n": n, "value": value}

    def patch(self, n: int, value: int) -> None:
        if n in self.images:
            self.images[n] = {**self.images[n], "value": value}

    def delete(self, n: int, _: int) -> None:
        self.images.pop(n, None)

    by_filter = delete


class Day:
    """Traffic of three keys, and what it makes of the table: all of it, and all but one key's."""

    def __init__(self, service: ServiceProcess, pictures: PictureServer) -> None:
        self._service, self._pictures = service, pictures
        self.everybody, self.others = Model(), Model()
        self.did: list[tuple[str, str, tuple[str, ...]]] = []
        """Keys, actions and ids."""

    def url(self, n: int) -> str:
        return f"{self._pictures.url}{n % IMAGES}.jpg?audit={n}"

    def id(self, n: int) -> str:
        return image_id(self.url(n))

    def ask(self, key: str, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method, f"{self._service.url}/{path}", json=body, headers=sent_by(key), timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    def add(self, key: str, n: int, value: int) -> None:
        body = {"url": self.url(n), "metadata": {"n": n, "value": value}}
        answer = self.ask(key, "POST", "post_image_to_index", body)
        self.did.append((key, "add" if answer["created"] else "replace", (self.id(n),)))

    def patch(self, key: str, n: int, value: int) -> None:
        self.ask(key, "PATCH", f"images/{self.id(n)}", {"metadata": {"value": value}})
        self.did.append((key, "patch", (self.id(n),)))

    def delete(self, key: str, n: int, _: int) -> None:
        self.ask(key, "POST", "delete_images", {"ids": [self.id(n), "0" * 32]})
        self.did.append((key, "delete", (self.id(n),)))

    def by_filter(self, key: str, n: int, _: int) -> None:
        if SCOPES[key] != "admin":
            self.delete(key, n, 0)
            return
        self.ask(key, "POST", "delete_images", {"metadata": {"n": n}})
        self.did.append((key, "delete_matching", (self.id(n),)))

    def go_on(self, drawn: random.Random, changes: int) -> None:
        """Some changes after each other."""
        for _ in range(changes):
            key, n, value = drawn.choice(KEYS), drawn.randrange(IMAGES), drawn.randrange(1000)
            action = drawn.choice(["add", "add", "patch", "patch", "delete", "by_filter"])
            if n not in self.everybody.images:
                action = "add"
            getattr(self, action)(key, n, value)
            for model in (self.everybody, self.others)[: 1 if key == CRAWLER else 2]:
                getattr(model, action)(n, value)

    def keep(self) -> int:
        """The version of this moment."""
        version = int(self.ask(OPS, "GET", "index")["version"])
        for model in (self.everybody, self.others):
            model.versions[version] = dict(model.images)
        return version

    def go_back(self, version: int) -> None:
        self.ask(OPS, "POST", "index/restore", {"version": version})
        self.did.append((OPS, "restore", ()))
        for model in (self.everybody, self.others):
            model.images = dict(model.versions[version])

    def table(self) -> dict[str, Metadata]:
        images = self.ask(OPS, "GET", "images?limit=1000")["images"]
        return {one["id"]: one["metadata"] for one in images}

    def told(self) -> list[dict[str, Any]]:
        """The log of changes, the oldest first, read in pages."""
        changes: list[dict[str, Any]] = []
        before = ""
        while True:
            page = self.ask(OPS, "GET", f"index/log?limit=30{before}")
            changes += page["changes"]
            if not page["more"]:
                return changes[::-1]
            before = f"&before={changes[-1]['at']}"

    def add_until_killed(self) -> dict[str, set[int]]:
        """Adds of two keys at once, in the middle of which the service dies; the acknowledged."""
        done: dict[str, set[int]] = {SHOP: set(), CRAWLER: set()}
        enough = threading.Event()

        def add(n: int) -> None:
            key = CRAWLER if n % 2 else SHOP
            body = {"url": self.url(n), "metadata": {"n": n}}
            try:
                answer = requests.post(
                    f"{self._service.url}/post_image_to_index",
                    json=body,
                    headers=sent_by(key),
                    timeout=60,
                )
            except requests.ConnectionError:
                return
            if answer.ok:
                done[key].add(n)
            if len(done[SHOP]) + len(done[CRAWLER]) > 20:
                enough.set()

        with ThreadPoolExecutor(8) as pool:
            for n in range(100, 1100):
                pool.submit(add, n)
            assert enough.wait(120)
            self._service.kill()
            pool.shutdown(cancel_futures=True)
        return done


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service with named keys, and one upkeep for the whole day."""
    lines = [f"{key} {scope} {key}-key-0123456789" for key, scope in SCOPES.items()]
    keys = tmp_path / "keys"
    keys.write_text("\n".join(lines))
    keys.chmod(0o600)
    more = {"IMAGE_SEARCH_API_KEYS_FILE": str(keys), "IMAGE_SEARCH_TRUSTED_PROXIES": "127.0.0.1"}
    settings = environment(tmp_path, IMAGE_SEARCH_STORE_UPKEEP_EVERY="1000", **more)
    with ServiceProcess(settings, tmp_path / "log") as service:
        yield service
        service.kill()


def test_a_day_is_told_and_one_key_of_it_undone(
    locked: ServiceProcess,
    pictures: PictureServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_API_KEY", f"{OPS}-key-0123456789")
    drawn, day, since = random.Random(16), Day(locked, pictures), datetime.now(UTC)
    day.go_on(drawn, 30)
    kept = day.keep()
    day.go_on(drawn, 10)
    day.go_back(kept)
    day.go_on(drawn, 20)
    _check_told(day, day.told())
    acknowledged = day.add_until_killed()
    locked.start()
    day.did.clear()
    day.go_on(drawn, 15)

    told = day.told()
    for key, numbers in acknowledged.items():
        own = {one for change in told if change["key"] == key for one in change["ids"]}
        assert {day.id(n) for n in numbers} <= own
    _check_told(day, told)
    table = day.table()
    assert {day.id(n): one for n, one in day.everybody.images.items()}.items() <= table.items()

    for command in commands_of("audit.md"):
        printed = run(command.replace(MOMENT, format_timestamp(since)), locked, tmp_path)
        assert printed or "--action" in command
    assert " removed, " in printed
    report = day.ask(OPS, "POST", "index/undo", {"key": CRAWLER, "since": format_timestamp(since)})
    assert (report["removed"], report["restored"]) == (0, 0)
    _check_undone(day, report["left"], acknowledged)
    _check_refused(locked)


def _check_told(day: Day, told: list[dict[str, Any]]) -> None:
    """Each of the last changes has its line, in their order, and nothing else has one."""
    changes = [(one["key"], one["action"], tuple(one["ids"])) for one in told]
    assert changes[-len(day.did) :] == day.did
    assert all(one["address"] == ADDRESSES[one["key"]] for one in told if one["key"])
    for one in told[-len(day.did) :]:
        assert one["version"] > one["version_before"]


def _check_undone(day: Day, left: list[dict[str, Any]], acknowledged: dict[str, set[int]]) -> None:
    table = day.table()
    for n in range(IMAGES):
        reasons = [one["reason"] for one in left if one["id"] == day.id(n)]
        if not any("has changed it" in one or "no version" in one for one in reasons):
            assert table.get(day.id(n)) == day.others.images.get(n), (n, reasons)
    assert len(left) < IMAGES
    assert {day.id(n) for n in acknowledged[SHOP]} <= table.keys()
    assert not [day.id(n) for n in range(101, 1100, 2) if day.id(n) in table]


def _check_refused(service: ServiceProcess) -> None:
    """Refused keys are in the log with their address, and the others' spoofed one is nowhere."""
    path = f"{service.url}/index/log"
    headers = {**sent_by(SHOP), "Authorization": "Bearer a-guess-0123456789"}
    for _ in range(9):
        assert requests.get(path, headers=headers, timeout=60).status_code == 401
    assert requests.get(path, headers=sent_by(SHOP), timeout=60).status_code == 403
    log = service.log.read_text()
    assert log.count("refused (401): a request without a valid key, from 203.0.113.1") == 1
    assert log.count("refused (403): a request with the key 'shop', from 203.0.113.1") == 1
    assert "203.0.113.2:0 (scheme=http,method=POST" in log
    assert "198.51.100.66" not in log
    assert "a-guess" not in log
