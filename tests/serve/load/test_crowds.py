"""Clients that hold on to what they have: others do not notice, and nothing of them stays."""

import io
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from demo.process import ServiceProcess
from demo.server import PictureServer
from tests.running import Post
from tests.serve.load.test_front import worker
from tests.serve.metrics import Metrics, until

READERS, IDLE, UPLOADS, MALFORMED = 100, 300, 100, 5000
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
UPLOAD = b"Content-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n\xff"
OPEN_FILES = ("page/style/base.css", "page/swagger-ui/swagger-ui.css", "livez", "readyz")


@pytest.fixture
def original(service: ServiceProcess) -> Iterator[str]:
    """The path of a kept file of 14 MB."""
    noise = np.random.default_rng(1).integers(0, 256, (2200, 2200, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(noise).save(png, "PNG", compress_level=0)
    headers = {"Content-Type": "image/png"}
    url = f"{service.url}/post_image_to_index"
    added = requests.post(url, data=png.getvalue(), headers=headers, timeout=60).json()
    yield f"images/{added['id']}/image"
    requests.delete(f"{service.url}/images/{added['id']}", timeout=60)


def silent(service: ServiceProcess, sent: bytes = b"") -> socket.socket:
    """A client that sends something and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", service.port))
    client.sendall(sent)
    return client


def test_a_crowd_keeps_nobody_out(
    service: ServiceProcess, pictures: PictureServer, post: Post, original: str
) -> None:
    url = pictures.url + "5.jpg"
    assert post("search_similar_images", {"url": url}).ok
    api = psutil.Process(worker(service))
    descriptors, before = api.num_fds(), Metrics(service)
    read = b"GET /" + original.encode() + HOST + b"\r\n"
    with ExitStack() as crowd:
        for sent in [b""] * IDLE + [b"POST /run_object_detection" + HOST + UPLOAD] * UPLOADS:
            crowd.enter_context(closing(silent(service, sent)))
        # HTTP/1.0 and pipelined requests are among them.
        kinds = (read, read * 20, read.replace(b"1.1", b"1.0"))
        for number in range(READERS):
            crowd.enter_context(closing(silent(service, kinds[number % len(kinds)])))

        def gone() -> bool:
            """Whether all were sent away; meanwhile others are answered."""
            assert post("search_similar_images", {"url": url}).status_code == 200
            now = Metrics(service)
            ended = ("slow_readers_total", 'refusals_total{reason="overloaded"')
            rises = (now["image_search_" + one] - before["image_search_" + one] for one in ended)
            return sum(rises) >= READERS

        assert until(gone)

    def nothing_left() -> bool:
        now = Metrics(service)
        held = ("requests_in_flight", "sending_bytes", "answer_memory_bytes", "waiting")
        # The file server keeps a connection or two.
        return api.num_fds() <= descriptors + 8 and not any(now[f"image_search_{n}"] for n in held)

    assert until(nothing_left)
    assert requests.get(f"{service.url}/{original}", timeout=60).ok


def test_floods_do_not_fill_the_log(service: ServiceProcess) -> None:
    """Nor what is asked for all the time; what matters is still there."""
    before = service.log.stat().st_size
    for name in OPEN_FILES:
        assert requests.get(f"{service.url}/{name}", timeout=60).ok
    for _ in range(MALFORMED):
        with closing(socket.create_connection(("127.0.0.1", service.port), timeout=60)) as client:
            client.sendall(b"\x16\x03\x01\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert requests.get(f"{service.url}/images/a-flood", timeout=60).status_code == 404
    log = ""

    def is_told() -> bool:
        nonlocal log
        log = service.log.read_bytes()[before:].decode(errors="replace")
        return "get_image refused: not_found" in log

    assert until(is_told)
    assert 1 <= log.count("Invalid HTTP request received") <= 10
    assert not [name for name in OPEN_FILES if f"path=/{name}" in log]
