"""Published weights: found in the cache, downloaded however slowly, or given up in time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import close_session

from runners.clip import weights as clip_weights
from runners.errors import WeightsDownloadError, WeightsHashError
from runners.settings import ModelSettings
from runners.weights.source import (
    CLIP_PINS,
    WeightsSource,
    check_sha256,
    clip_source,
    yolo_source,
)
from runners.yolo import weights as yolo_weights

TAG = "laion2b_s34b_b79k"
UNPINNED_TAG = "laion400m_e32"
REPO = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
PIECE = bytes(range(256)) * 1024
BODY = PIECE * 8


class Hub(BaseHTTPRequestHandler):
    """Speaks as much of the Hub's protocol as a download of one file needs."""

    pause_s = 0.0
    """Between the eight pieces of the file."""
    stalls = False
    """Stop in the middle of the file."""
    silent = False
    """Take connections, answer none."""
    status = 200
    holds = ("open_clip_model.safetensors",)

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if not self._head():
            return
        for _ in range(4 if self.stalls else 8):
            time.sleep(self.pause_s)
            self.wfile.write(PIECE)
        if self.stalls:
            self.server.released.wait(30)  # type: ignore[attr-defined]

    def _head(self) -> bool:
        if self.silent:
            self.server.released.wait(30)  # type: ignore[attr-defined]
            return False
        found = self.path.endswith(self.holds)
        self.send_response(self.status if found or self.status != 200 else 404)
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Length", str(len(BODY) if found else 0))
        self.end_headers()
        return found

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[Hub]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.released = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:  # or the thread that a stalled download leaves behind would ask on until the end
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fetch(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[type[Hub], float], Path]]:
    """Fetch the default CLIP tag from a hub of the test's own."""
    close_session()

    def run(handler: type[Hub], patience_s: float = 5.0, tag: str = TAG) -> Path:
        with serving(handler) as address:
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
            template = address + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            return clip_weights.fetch(clip(tag), patience_s)

    yield run
    close_session()


def clip(tag: str = TAG) -> WeightsSource:
    return clip_source(ModelSettings(clip_model="ViT-B-32", clip_pretrained=tag))


def test_a_download_lands_in_the_cache_and_is_found_there_again(
    fetch: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(Hub)
    assert path.read_bytes() == BODY
    assert path.name == "open_clip_model.safetensors"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert clip_weights.fetch(clip()) == path


def test_without_safetensors_the_other_file_is_taken(fetch: Callable[..., Path]) -> None:
    hub = type("BinHub", (Hub,), {"holds": ("open_clip_pytorch_model.bin",)})
    assert fetch(hub, tag=UNPINNED_TAG).name == "open_clip_pytorch_model.bin"


def test_of_pinned_weights_only_the_pinned_file_is_taken(fetch: Callable[..., Path]) -> None:
    hub = type("BinHub", (Hub,), {"holds": ("open_clip_pytorch_model.bin",)})
    with pytest.raises(WeightsDownloadError, match="not there"):
        fetch(hub)


def test_pinned_weights_are_asked_for_by_their_commit(fetch: Callable[..., Path]) -> None:
    asked: list[str] = []

    class Noting(Hub):
        def _head(self) -> bool:
            asked.append(self.path)
            return super()._head()

    with pytest.raises(WeightsHashError) as caught:
        check_sha256(fetch(Noting), clip())
    assert asked
    assert all(CLIP_PINS["ViT-B-32", TAG].revision in path for path in asked)
    for word in (TAG, "official", "delete it", CLIP_PINS["ViT-B-32", TAG].sha256):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slow_download_is_not_cut_off(fetch: Callable[..., Path]) -> None:
    slow = type("SlowHub", (Hub,), {"pause_s": 0.3})
    assert fetch(slow, 1.5).read_bytes() == BODY


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"silent": True}, "nothing came"),
        ({"stalls": True}, "nothing came"),
        ({"status": 503}, "answered 503"),
        ({"status": 401}, "answered 401"),
        ({"holds": ("something else",)}, "not there"),
    ],
)
def test_a_download_that_cannot_be_had_names_the_ways_out(
    fetch: Callable[..., Path], behaviour: dict[str, object], reason: str
) -> None:
    with pytest.raises(WeightsDownloadError) as caught:
        fetch(type("BadHub", (Hub,), behaviour), 1.0)
    message = str(caught.value)
    assert "\n" not in message
    for word in (reason, "ViT-B-32", TAG, "CLIP_PRETRAINED to the path", "MODELS=demo"):
        assert word in message


def test_a_refused_connection_is_given_up_at_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    close_session()
    with pytest.raises(WeightsDownloadError, match="no connection"):
        clip_weights.fetch(clip(), patience_s=60.0)


@pytest.mark.parametrize("silent", [True, False])
def test_a_yolo_name_that_cannot_be_had_names_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """All of ultralytics' requests go through a proxy of the test's own, which gives nothing."""
    handler = type("Proxy", (Hub,), {"silent": silent, "status": 502, "do_CONNECT": Hub.do_HEAD})
    with serving(handler) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        source = yolo_source(ModelSettings(yolo_weights="yolo11n.pt"))
        with pytest.raises(WeightsDownloadError) as caught:
            yolo_weights.fetch(source, tmp_path / "new", patience_s=1.0)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("yolo11n.pt", "YOLO_WEIGHTS to the path", "MODELS=demo"):
        assert word in message


def test_a_yolo_name_is_found_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "yolo11n.pt").write_bytes(b"weights")
    source = yolo_source(ModelSettings(yolo_weights="yolo11n.pt"))
    assert yolo_weights.fetch(source, tmp_path) == tmp_path / "yolo11n.pt"


def test_a_tag_brings_its_own_preprocessing() -> None:
    source = clip_source(ModelSettings(clip_model="ViT-B-16-SigLIP", clip_pretrained="webli"))
    published = clip_weights.preprocessing(source)
    assert published is not None
    assert published["mean"] == (0.5, 0.5, 0.5)
    assert published["resize_mode"] == "squash"


@pytest.mark.parametrize(
    ("architecture", "tag", "warned"),
    [
        ("ViT-B-32", "openai", True),
        ("ViT-B-32-quickgelu", "openai", False),
        ("ViT-B-32", TAG, False),
    ],
)
def test_weights_for_another_activation_are_warned_of(
    caplog: pytest.LogCaptureFixture, architecture: str, tag: str, warned: bool
) -> None:
    source = clip_source(ModelSettings(clip_model=architecture, clip_pretrained=tag))
    clip_weights.warn_of_wrong_activation(source)
    assert ("CLIP_MODEL=ViT-B-32-quickgelu" in caplog.text) == warned
