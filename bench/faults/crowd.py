"""Crowds of clients that hold on to what they have, and how others' searches fare beside them."""

import asyncio
import io
import multiprocessing
import os
import re
import resource
import socket
import tempfile
import time
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from bench.load.fileserver import FileServer
from bench.load.generator import Load, Sent, send
from bench.load.http import request_bytes
from bench.load.traffic import Repeated, good
from bench.report import Cell, Limit, Report, ratio
from bench.service.models import PREFIX, model_environment
from bench.service.processes import (
    API_WORKER,
    DECODER,
    EMBEDDER,
    cpu_by_role,
    processes_of,
    resident_mib,
)
from bench.service.running import Service, started

MOST_P99, MOST_MORE, SETTLE_S = 2.0, 8, 90.0
_KEY = "a-key-of-the-benchmark-" + "k" * 16
_HEADERS = {"Authorization": f"Bearer {_KEY}", "Content-Type": "image/png"}
_UPLOAD = (
    b"POST /run_object_detection HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    b"Content-Length: 5000000\r\n\r\n"
)
CROWDS = {"slow readers": 200, "without a key": 800, "idle": 3000, "slow uploads": 700}
"""They read nothing of a file of 19.5 MB; are refused once a second; say nothing; send a kilobyte
a second. Who is sent away comes again."""
ROLES = (API_WORKER, DECODER, EMBEDDER)
_GAUGES = "requests_in_flight|sending_bytes|answer_memory_bytes|waiting"


def with_key(request: bytes) -> bytes:
    return request.replace(b"\r\n", f"\r\nAuthorization: Bearer {_KEY}\r\n".encode(), 1)


def hold(port: int, original: str, kinds: list[str], seconds: float) -> tuple[int, float]:
    """Be these crowds for so long; how often one of them was sent away or answered, and cores."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.nice(10)  # they are on other machines
    ended: list[str] = []

    async def crowd() -> None:
        ways = [kind for kind in kinds for _ in range(CROWDS[kind])]
        clients = [_client(port, original, kind, ended) for kind in ways]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*clients), seconds)

    asyncio.run(crowd())
    return len(ended), time.process_time() / seconds


async def _client(port: int, original: str, kind: str, ended: list[str]) -> None:
    """Connect, send, hold on until the service ends it; then once more."""
    loop, get = asyncio.get_running_loop(), request_bytes("GET", original)
    first = dict(zip(CROWDS, (with_key(get), get, b"", with_key(_UPLOAD)), strict=True))[kind]
    while True:
        with socket.socket() as own, suppress(OSError):
            own.setblocking(False)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(own, ("127.0.0.1", port))
            await loop.sock_sendall(own, first)
            if first in {b"", get}:
                await loop.sock_recv(own, 4096)
            while first != get and not own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                await asyncio.sleep(1)
                if kind == "slow uploads":
                    await loop.sock_sendall(own, bytes(1024))
        ended.append(kind)
        await asyncio.sleep(1)


def taken(service: Service) -> tuple[int, int, float, float]:
    """Descriptors, threads and MiB of the API worker, and what its gauges say is under way."""
    api = processes_of(service.root)[API_WORKER]
    text = requests.get(f"{service.process.url}/metrics", headers=_HEADERS, timeout=60).text
    held = re.findall(rf"^image_search_(?:{_GAUGES})(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return api.num_fds(), api.num_threads(), resident_mib(api), sum(map(float, held))


def spent(service: Service, searches: Load) -> tuple[Sent, tuple[float, ...]]:
    """Send searches; the cores that their clients and each role of the service use meanwhile."""
    began, before = time.monotonic(), cpu_by_role(service.root)
    sent, after = send(searches), cpu_by_role(service.root)
    took = time.monotonic() - began
    return sent, (sent.cpu_s / took, *((after[role] - before[role]) / took for role in ROLES))


def measure(service: Service, given: Namespace, report: Report) -> list[Limit]:
    """Searches alone, then beside each crowd and all of them; what is left afterwards."""
    noise = np.random.default_rng(1).integers(0, 256, (2550, 2550, 3), np.uint8)
    Image.fromarray(noise).save(png := io.BytesIO(), "PNG", compress_level=0)
    url = f"{service.process.url}/post_image_to_index"
    added = requests.post(url, png.getvalue(), headers=_HEADERS, timeout=120).json()
    [kind] = [each for each in good(service.files.url) if each.name == "search by picture"]
    source = Repeated(kind.name, tuple(map(with_key, kind.requests)))
    searches = Load(service.process.port, source, given.seconds, 4, niceness=given.nice)
    send(searches)
    (alone, used), before = spent(service, searches), taken(service)
    rows: list[tuple[Cell, ...]] = [("nobody", len(alone.good), 0, alone.ms(50), alone.ms(99), 0)]
    cores: list[tuple[Cell, ...]] = [("nobody", 0.0, *used)]
    limits = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for kinds in [*([one] for one in CROWDS), list(CROWDS)]:
            name = kinds[0] if len(kinds) == 1 else "all at once"
            to_hold = (service.process.port, f"images/{added['id']}/image", kinds)
            crowd = pool.submit(hold, *to_hold, given.seconds + 3)
            time.sleep(2)
            (sent, used), (ended, own) = spent(service, searches), crowd.result()
            cores.append((name, own, *used))
            rows.append((name, len(sent.good), sent.failed, sent.ms(50), sent.ms(99), ended))
            p99 = ratio(sent.ms(99), alone.ms(99))
            limits.append(Limit(f"beside {name}: searches not answered", sent.failed, most=0))
            limits.append(Limit(f"beside {name}: p99 to alone", p99, most=MOST_P99))
    columns = ["crowd", "searches", "failed", "p50 ms", "p99 ms", "sent away or answered"]
    report.table(columns, rows, "searches by picture of 4 clients beside crowds")
    columns = ["cores used beside", "by the crowd", "by searchers", *ROLES]
    report.table(columns, cores)
    until, after = time.monotonic() + SETTLE_S, taken(service)
    while (after[3] or after[0] > before[0] + MOST_MORE) and time.monotonic() < until:
        time.sleep(1)
        after = taken(service)
    columns = ["of the API worker", "descriptors", "threads", "MiB", "under way"]
    report.table(columns, [("before", *before), ("after", *after)])
    more = [now - then for then, now in zip(before, after, strict=True)]
    limits += [Limit(f"{of} more", more[n], most=MOST_MORE) for n, of in enumerate(columns[1:3])]
    return [*limits, Limit("still under way or reserved", after[3], most=0)]


def run(given: Namespace, report: Report) -> list[Limit]:
    settings = {**model_environment(given.models), f"{PREFIX}API_KEYS": _KEY}
    with (
        tempfile.TemporaryDirectory() as folder,
        FileServer() as files,
        started(settings, Path(folder)) as process,
    ):
        return measure(Service(process, files, ()), given, report)
