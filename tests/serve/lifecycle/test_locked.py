"""A service with a key and one place: who is let in, and what the others are told."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests

from demo.process import ServiceProcess
from tests.running import OWN_MODELS, environment
from tests.serve.wire import POST, exchange
from tests.unprivileged import PREFIX, can_open, interpreter

KEY = "a-key-that-is-long"
GUEST, OTHER = "a-key-of-a-guest-01", "a-key-of-another-02"
BEARER = {"Authorization": f"Bearer {KEY}"}
ORIGIN = "https://shop.example"
WITHIN_S = 30  # until what happens at once has happened, while other work has the cores
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _write_keys(folder: Path, *lines: str) -> Path:
    """Put a file of keys in the place of the one before, as a whole."""
    file, fresh = folder / "keys", folder / "fresh"
    fresh.touch(0o600)
    fresh.write_text("\n".join(lines))
    return fresh.replace(file)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with a key, one place and an origin, and without privileges."""
    folder = tmp_path_factory.mktemp("locked")
    settings = environment(
        folder,
        IMAGE_SEARCH_API_KEYS=KEY,
        IMAGE_SEARCH_API_KEYS_FILE=str(_write_keys(folder, f"guest read {GUEST}")),
        IMAGE_SEARCH_MAX_IN_FLIGHT="1",
        IMAGE_SEARCH_CORS_ORIGINS=ORIGIN,
        IMAGE_SEARCH_FETCH_TIMEOUT_S="55",
    )
    with ServiceProcess(settings, folder / "log", python=interpreter(folder)) as running:
        yield running


def test_no_other_process_of_its_user_looks_into_it(locked: ServiceProcess) -> None:
    assert locked.process is not None
    supervisor = psutil.Process(locked.process.pid)
    found = [supervisor, *supervisor.children(recursive=True)]
    assert len(found) >= 3 + OWN_MODELS  # a supervisor, an API worker, a decoder, the models
    for process in found:
        for part in ("environ", "mem", "maps", "auxv"):
            assert not can_open(process.pid, part), (part, process.cmdline())
    with subprocess.Popen([*PREFIX, "sleep", "600"]) as other:
        until_it_is_its_program(other.pid)
        assert can_open(other.pid, "environ")
        other.kill()


def until_it_is_its_program(pid: int) -> None:
    while "sleep" not in psutil.Process(pid).name():
        time.sleep(0.01)


def is_safe(answer: requests.Response) -> bool:
    return all(answer.headers.get(name) == value for name, value in SAFE.items())


PATHS = (
    "",
    "heartbeat",
    "metrics",
    "healthz",
    "docs.json",
    "schema.json",
    "docs",
    "page/nothing.js",
    "static_content/nothing.css",
    "nowhere",
    "images",
    "run_object_detection",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_locked_and_safe(locked: ServiceProcess, path: str) -> None:
    url = f"{locked.url}/{path}"
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        for key in (None, "", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer"):
            headers = None if key is None else {"Authorization": key}
            assert requests.request(method, url, headers=headers, timeout=60).status_code == 401
    for headers in ({}, BEARER, {"Authorization": f"bearer  {KEY} "}):
        answer = requests.get(url, headers={**headers, "X-Request-ID": "mine-1"}, timeout=60)
        assert (answer.status_code == 401) == (not headers)
        assert answer.status_code < 500
        assert is_safe(answer)
        assert answer.headers["X-Request-ID"] == "mine-1"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert not {"Server", "X-BentoML-Request-ID"} & answer.headers.keys()


def test_the_probes_are_open_and_safe(locked: ServiceProcess) -> None:
    for path in ("livez", "readyz"):
        answer = requests.get(f"{locked.url}/{path}", timeout=60)
        assert answer.status_code == 200
        assert is_safe(answer)


def test_no_model_and_no_decoder_has_the_key(locked: ServiceProcess) -> None:
    """Neither in its environment nor in its command line, which every user of the machine reads."""
    assert locked.process is not None
    supervisor = psutil.Process(locked.process.pid)
    everyone = [supervisor, *supervisor.children(recursive=True)]
    assert len(everyone) >= 4 + OWN_MODELS  # with the API and two decoders
    having = [one.cmdline() for one in everyone[1:] if KEY in _environment(one)]
    assert len(having) == 1
    assert "ImageSearch" in having[0]
    assert not any(KEY in " ".join(one.cmdline()) for one in everyone)


def _environment(process: psutil.Process) -> str:
    try:
        return " ".join(process.environ().values())
    except psutil.AccessDenied:  # nobody can read that of a process that does not let them
        return ""


def test_keys_come_and_go_while_it_runs(locked: ServiceProcess) -> None:
    folder = locked.log.parent

    def statuses(key: str) -> tuple[int, int]:
        """Of a request to read, and of one to write."""
        headers = {"Authorization": f"Bearer {key}"}
        read = requests.get(f"{locked.url}/index", headers=headers, timeout=60)
        write = requests.delete(f"{locked.url}/images/x", headers=headers, timeout=60)
        return read.status_code, write.status_code

    def become(guest: tuple[int, int], other: tuple[int, int]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while (seen := (statuses(GUEST), statuses(OTHER))) != (guest, other):
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        assert statuses(KEY) == (200, 404)
        assert requests.get(f"{locked.url}/index", timeout=60).status_code == 401

    become((200, 403), (401, 401))
    _write_keys(folder, f"guest write {GUEST}", f"other read {OTHER}")
    become((200, 404), (200, 403))
    _write_keys(folder, f"guest read {GUEST}", "other read too-short")
    time.sleep(1.1)  # it is looked at again, and stays as it was
    become((200, 404), (200, 403))
    (folder / "keys").unlink()
    become((401, 401), (401, 401))
    _write_keys(folder, f"guest read {GUEST}")
    become((200, 403), (401, 401))
    log = locked.log.read_text(errors="replace")
    assert log.count("the API keys stay as they were") == 1
    assert log.count("holds no key") == 1
    assert not any(key in log for key in (KEY, GUEST, OTHER, "too-short"))


def test_nothing_tells_versions(locked: ServiceProcess) -> None:
    for path in ("docs.json", "schema.json", "nowhere", ""):
        answer = requests.get(f"{locked.url}/{path}", headers=BEARER, timeout=60)
        assert "1.4.39" not in answer.text
        assert "/site-packages/" not in answer.text


class Hanging:
    """A file server that takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/x.jpg"

    def wait_for_end(self) -> None:
        """Wait until who asked first has closed the connection; raises TimeoutError."""
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(WITHIN_S)
            while connection.recv(65_536):
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    server = Hanging()
    yield server
    server.close()


def head(length: int) -> bytes:
    return POST + f"Authorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n".encode()


def post(url: str) -> bytes:
    body = json.dumps({"url": url}).encode()
    return (
        POST + f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


@contextmanager
def full(locked: ServiceProcess, hanging: Hanging) -> Iterator[None]:
    """The one place is taken, by a client that stays until the block ends."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        with socket.create_connection(("127.0.0.1", locked.port)) as client:
            client.sendall(post(hanging.url))
            client.settimeout(1)
            with suppress(TimeoutError):
                answer = client.recv(65_536)  # another request, just ending, had the place
                assert answer.startswith(b"HTTP/1.1 429 "), answer
                assert time.monotonic() < deadline
                continue
            until(locked, full=True)
            yield
            return


def until(locked: ServiceProcess, *, full: bool) -> None:
    """Wait until the one place is taken, or free, as a request sees it that has no url."""
    deadline = time.monotonic() + WITHIN_S
    url = f"{locked.url}/run_object_detection"
    while (requests.post(url, json={}, headers=BEARER, timeout=60).status_code == 429) != full:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_service_refuses_at_once_and_is_alive(
    locked: ServiceProcess, hanging: Hanging
) -> None:
    with full(locked, hanging):
        cross = {**BEARER, "Origin": ORIGIN}
        url = f"{locked.url}/run_object_detection"
        refused = requests.post(url, json={"url": "x"}, headers=cross, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert is_safe(refused)
        # A body that never comes changes nothing: it is not waited for.
        assert exchange(locked, head(9)).startswith(b"HTTP/1.1 429 ")
        assert requests.post(url, json={"url": "x"}, timeout=60).status_code == 401
        for path in ("heartbeat", "metrics", "livez", "readyz"):
            assert requests.get(f"{locked.url}/{path}", headers=BEARER, timeout=60).ok
        wanted = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        assert requests.options(url, headers=wanted, timeout=60).ok
    until(locked, full=False)


def test_who_goes_away_ends_their_request(locked: ServiceProcess, hanging: Hanging) -> None:
    """Long before the download's 55 s are over; nothing is an error, and no metric is left up."""
    said_before = locked.log.stat().st_size
    for _ in range(5):
        with full(locked, hanging):
            pass
        until(locked, full=False)
        hanging.wait_for_end()  # the download has ended, too
    metrics = requests.get(f"{locked.url}/metrics", headers=BEARER, timeout=60).text
    [running] = [
        line
        for line in metrics.splitlines()
        if "request_in_progress{" in line and "/run_object_detection" in line
    ]
    assert running.endswith(" 0.0")
    log = locked.log.read_bytes()[said_before:]
    assert b"Traceback" not in log
    assert b"[ERROR]" not in log


def test_slow_bodies_lock_nobody_out(locked: ServiceProcess) -> None:
    slow = [socket.create_connection(("127.0.0.1", locked.port)) for _ in range(40)]
    try:
        for client in slow:
            client.sendall(head(9) + b"{")
        time.sleep(0.3)
        answer = requests.post(
            f"{locked.url}/run_object_detection", json={}, headers=BEARER, timeout=10
        )
        assert answer.status_code == 400
    finally:
        for client in slow:
            client.close()


def test_pages_of_other_origins_are_not_let_in(locked: ServiceProcess) -> None:
    headers = {**BEARER, "Origin": "https://evil.example"}
    answer = requests.get(f"{locked.url}/heartbeat", headers=headers, timeout=60)
    assert "Access-Control-Allow-Origin" not in answer.headers
