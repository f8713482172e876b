"""The running service behind a proxy, with hosts that want a token or a Referer."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from demo.process import ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import as_jpeg
from tests.images.fetch.proxies import small_proxy, tinyproxy
from tests.images.fetch.servers import Answer, Server, http_server
from tests.running import environment, poster
from tests.serve.metrics import Metrics

PICTURE = as_jpeg(draw_scene(SHOW_SEEDS[0]).picture)
TOKEN, WORD = "t0ken-of-this-host", "w0rd-of-the-proxy"


@contextmanager
def proxy(folder: Path) -> Iterator[str]:
    """A real one with a password where there is one, else the small one."""
    program = shutil.which("tinyproxy")
    if program is None:
        with small_proxy() as small:
            yield small.url
    else:
        with tinyproxy(program, folder, f"BasicAuth someone {WORD}\n") as url:
            yield url


def certificate(folder: Path) -> Path:
    """Of an authority of one's own, for the address of this machine, with its key."""
    path = folder / "authority.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -addext"
    paths = ["-keyout", str(path), "-out", str(folder / "certificate.pem")]
    subprocess.run(
        ["openssl", *words.split(), "subjectAltName=IP:127.0.0.1", *paths],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (folder / "certificate.pem").read_text())
    return path


def wanting(name: str, value: str, server: list[Server]) -> Callable[[str], Answer]:
    """A host that serves those who send this header; `/away` sends them elsewhere."""

    def answer(path: str) -> Answer:
        if server[0].requests[-1][1].get(name) != value:
            return 403, {}, b"who are you?"
        return (
            (302, {"Location": path[6:]}, b"") if path.startswith("/away/") else (200, {}, PICTURE)
        )

    return answer


def test_a_token_a_referer_and_a_proxy(tmp_path: Path) -> None:
    """A host that is busy once is asked again; a canary sees no header of another host.

    And a host with a certificate of a company's own authority is trusted where that is named.
    """
    authority = certificate(tmp_path) if shutil.which("openssl") else None
    guarded: list[Server] = []
    linked: list[Server] = []
    busy = iter([(503, {"Retry-After": "1"}, b"")])
    with (
        proxy(tmp_path) as proxy_url,
        http_server(wanting("X-Token", TOKEN, guarded)) as token,
        http_server(wanting("Referer", "https://shop.example/", linked)) as referer,
        http_server(lambda _: next(busy, (200, {}, PICTURE))) as canary,
        http_server(lambda _: (200, {}, PICTURE), tls=authority or False) as own,
    ):
        guarded.append(token)
        linked.append(referer)
        headers = tmp_path / "headers.json"
        entries = {
            token.url.removeprefix("http://"): {"X-Token": TOKEN},
            referer.url: {"Referer": "https://shop.example/", "User-Agent": "Mozilla/5.0"},
        }
        headers.write_text(json.dumps(entries))
        headers.chmod(0o644)
        settings = environment(
            tmp_path,
            IMAGE_SEARCH_FETCH_PROXY=proxy_url.replace("//", f"//someone:{WORD}@"),
            IMAGE_SEARCH_FETCH_HEADERS=str(headers),
            IMAGE_SEARCH_FETCH_USER_AGENT="shop-bot/2",
            HTTP_PROXY="http://127.0.0.2:9",
            **({"SSL_CERT_FILE": str(authority)} if authority else {}),
        )
        with ServiceProcess(settings, tmp_path / "log") as service:
            post = poster(service.url)

            def status(url: str) -> int:
                return post("post_image_to_index", {"url": url}).status_code

            assert status(f"{token.url}/a.jpg") == status(f"{referer.url}/a.jpg") == 200
            assert status(f"{token.url}/away/{canary.url}/a.jpg") == 200
            assert status(f"{referer.url}/away/{canary.url}/b.jpg") == 200
            assert status(f"{canary.url}/c.jpg") == status(f"{own.url}/d.jpg") == 200
            told = post("post_image_to_index", {"url": "http://127.0.0.2/"})
            assert told.json()["code"] == "host_unreachable"
            assert Metrics(service)["image_search_download_retries_total"] == 1
            assert service.process is not None
            for process in psutil.Process(service.process.pid).children(recursive=True):
                if os.geteuid() == 0 and "ImageSearch" not in " ".join(process.cmdline()):
                    given = "".join(process.environ().values())
                    assert TOKEN not in given
                    assert WORD not in given
        seen = [sent for _, sent in canary.requests]
        assert len(seen) == 4
        assert not [one for one in seen if "X-Token" in one or "Referer" in one]
        assert {one["User-Agent"] for one in seen} == {"shop-bot/2"}
        assert referer.requests[0][1]["User-Agent"] == "Mozilla/5.0"
        log = (tmp_path / "log").read_text()
        assert TOKEN not in log
        assert WORD not in log
        assert "can be read by other users" in log
