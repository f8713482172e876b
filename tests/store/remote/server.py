"""A real S3 server for tests: moto in a process of its own, whose requests can be counted.

`python -m tests.store.remote.server` serves until its standard input ends, and prints its port. It
answers one request at a time, so that its conditional writes are as exact as a real store's.
"""

import contextlib
import json
import logging
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

BUCKET = "pictures"
REGION = "us-east-1"
_CONTROL = "/_control/"


class S3Server:
    """A running server; get one with `running`."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.endpoint = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which LanceDB finds it."""
        return environment(self.endpoint)

    def requests(self) -> Counter[str]:
        """How many requests of each kind there were since the last call."""
        return Counter(self.control("requests"))

    def break_down(self, *, seconds: float) -> None:
        """Answers nothing but 503 for some time."""
        self.control(f"down?{seconds}")

    def ignore_conditions(self, *, ignored: bool) -> None:
        """Overwrites what it was told to write only where nothing is, as some servers do."""
        self.control(f"unconditional?{int(ignored)}")

    def control(self, what: str) -> Any:
        """Asks the server itself, and not the store in it."""
        with urllib.request.urlopen(self.endpoint + _CONTROL + what, timeout=60) as answer:
            return json.load(answer)


def environment(endpoint: str) -> dict[str, str]:
    """The variables with which LanceDB finds a server of tests."""
    return {
        "AWS_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_ALLOW_HTTP": "true",
    }


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    """A server with an empty bucket."""
    command = [sys.executable, "-m", "tests.store.remote.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            server = S3Server(process, int(process.stdout.readline()))
            made = urllib.request.Request(f"{server.endpoint}/{BUCKET}", method="PUT")
            urllib.request.urlopen(made, timeout=60).close()
            yield server
        finally:
            process.kill()


class Controlled:
    """A WSGI application before moto's: one request at a time, counted; or none at all."""

    def __init__(self, moto: Callable[..., Iterable[bytes]]) -> None:
        self._moto, self._one = moto, threading.Lock()
        self._counted: Counter[str] = Counter()
        self._down_until = 0.0
        self._unconditional = False

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if path.startswith(_CONTROL):
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._controlled(path.removeprefix(_CONTROL), query)).encode()]
        listing = environ["REQUEST_METHOD"] == "GET" and "list-type" in query
        self._counted["LIST" if listing else environ["REQUEST_METHOD"]] += 1
        if time.monotonic() < self._down_until:
            start("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        if self._unconditional:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._one:
            return list(self._moto(environ, start))

    def _controlled(self, what: str, query: str) -> Any:
        if what == "down":
            self._down_until = time.monotonic() + float(query)
        elif what == "unconditional":
            self._unconditional = query == "1"
        counted, self._counted = self._counted, Counter()
        return dict(counted)


def main() -> None:
    """Serves until standard input ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, Controlled(moto), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
