"""The world of the corpus: a real service among servers that mean it harm.

Where namespaces may be made, all of it stands in a `Box`: the service asks the corpus's name server
(its /etc/resolv.conf is one of ours), and every address there is leads to the corpus's site. Where
not, the site is on loopback, and rows that need names or other addresses are skipped.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import requests

from demo.process import ServiceProcess
from tests.guard.case import KEYS, SCOPED, Case
from tests.guard.judge import Outcome
from tests.guard.oracle.names import NameServer
from tests.guard.stage.box import Box, NoBoxError
from tests.guard.stage.site import SERVICE_PORTS, Site, Talk
from tests.images.fetch.servers import CERTIFICATE
from tests.running import converted_models

LOOPBACK, ELSEWHERE = "127.0.0.1", "127.0.0.2"
WITHIN_S = 60
AT_ONCE = 32
AUTHORIZED: Mapping[str, str] = {"Authorization": f"Bearer {KEYS[0]}"}

LIMITS = {
    "IMAGE_SEARCH_FETCH_TIMEOUT_S": "4",
    "IMAGE_SEARCH_MAX_IMAGE_BYTES": "2000000",
    "IMAGE_SEARCH_MAX_IMAGE_PIXELS": "4000000",
    "IMAGE_SEARCH_MAX_ASPECT_RATIO": "50",
    "IMAGE_SEARCH_ALLOW_NETWORKS": "10.20.0.0/16,fd12:3456::/32,cdn.internal",
}
_RESOLVER = "nameserver {server}\noptions timeout:30 attempts:2\n"
_HOSTS = "127.0.0.1 localhost\n::1 ip6-localhost\n10.9.9.9 listed-inside\n198.41.0.4 listed\n"
_SOURCES = "hosts: files dns\n"


class Stage:
    """Everything that a row needs, until the `with` block ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.box: Box | None = Box()
        except NoBoxError:
            self.box = None
        self.site = Site()
        self.names: NameServer | None = None
        self.port = 0
        self._counter = itertools.count()
        self._settings = {
            "IMAGE_SEARCH_MODELS": "demo",
            "IMAGE_SEARCH_DEVICE": "cpu",
            "IMAGE_SEARCH_RUNTIME": "openvino",
            "IMAGE_SEARCH_CACHE_DIR": str(converted_models()),
            "IMAGE_SEARCH_STORE_URI": str(folder / "index"),
            "IMAGE_SEARCH_API_KEYS": ",".join(KEYS),
            "IMAGE_SEARCH_API_KEYS_FILE": str(_keys_file(folder)),
            "SSL_CERT_FILE": str(CERTIFICATE),
            **LIMITS,
        }

    def __enter__(self) -> Self:
        with self.inside():
            self.service = self._stood_up()
            try:
                self.service.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the service, and then what it talked to."""
        self.service.stop()
        self.site.close()
        if self.names is not None:
            self.names.close()
        if self.box is not None:
            self.box.close()

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """A block in which sockets and processes stand where the service does."""
        return contextlib.nullcontext() if self.box is None else self.box.entered()

    def _stood_up(self) -> ServiceProcess:
        log = self._folder / "log"
        if self.box is None:
            self.port = self.site.listen(LOOPBACK, 0)
            self.site.listen(ELSEWHERE, self.port)
            allowed = {"IMAGE_SEARCH_ALLOW_NETWORKS": f"{LOOPBACK}/32"}
            return ServiceProcess({**self._settings, **allowed}, log)
        self.names = NameServer(LOOPBACK)
        self.port = self.site.listen("::", 8000)
        self.site.listen("::", 443, tls=True)
        for port in (80, *SERVICE_PORTS):
            self.site.listen("::", port)
        return _BoxedService(self._settings, log, self._resolver_files())

    def _resolver_files(self) -> dict[Path, Path]:
        texts = {
            "resolv.conf": _RESOLVER.format(server=LOOPBACK),
            "hosts": _HOSTS,
            "nsswitch.conf": _SOURCES,
        }
        for name, text in texts.items():
            (self._folder / name).write_text(text)
        return {self._folder / name: Path("/etc") / name for name in texts}

    def ask_all(self, cases: Sequence[Case]) -> list[Outcome]:
        """Ask all of them at once; each outcome in its place."""
        with ThreadPoolExecutor(AT_ONCE, initializer=self._enter_thread) as pool:
            return list(pool.map(self._ask, range(len(cases)), cases))

    def ask(self, case: Case) -> Outcome:
        """Ask one."""
        return self.ask_all([case])[0]

    def _enter_thread(self) -> None:
        if self.box is not None:
            self.box.enter()

    def _ask(self, number: int, case: Case) -> Outcome:
        values = self._values(number)
        for name, answers in case.names.items():
            assert self.names is not None
            self.names.put(filled(name, values), answers)
        if case.answer is not None:
            self.site.put(values["path"], _filled_answer(case.answer, values))
        body = case.sent_body(filled(case.url, values))
        return Outcome.of(
            lambda: requests.request(
                case.method,
                f"{self.service.url}/{case.path}",
                data=body,
                headers=dict(case.headers) if case.keyless else {**AUTHORIZED, **case.headers},
                timeout=WITHIN_S,
            )
        )

    def host(self, number: int = 0) -> str:
        """Host and port that pictures may be fetched from.

        In a box each number has an address of its own, so that rows do not wait for each other:
        the service bounds the downloads from one host.
        """
        address = f"198.41.{number // 250}.{number % 250 + 1}" if self.box else LOOPBACK
        return f"{address}:{self.port}"

    def _values(self, number: int) -> Mapping[str, str]:
        unique = str(next(self._counter))
        return {
            "site": self.host(number),
            "port": str(self.port),
            "path": f"/{unique}",
            "host": f"h{unique}.test",
        }


def _keys_file(folder: Path) -> Path:
    file = folder / "keys"
    file.touch(0o600)
    file.write_text("".join(f"{scope} {scope} {key}\n" for scope, key in SCOPED.items()))
    return file


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with the names in braces replaced; other braces stay."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _filled_answer(answer: bytes | Talk, values: Mapping[str, str]) -> bytes | Talk:
    if not isinstance(answer, bytes):
        return answer
    for name, value in values.items():
        answer = answer.replace(b"{" + name.encode() + b"}", value.encode())
    return answer


class _BoxedService(ServiceProcess):
    """A service whose files in /etc are ours, in a mount namespace of its own."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, files: Mapping[Path, Path]
    ) -> None:
        super().__init__(environment, log)
        mounts = "".join(f"mount --bind '{ours}' '{at}' && " for ours, at in files.items())
        script = mounts + 'exec "$@"'
        self._command = ["unshare", "--mount", "sh", "-c", script, "sh", *self._command]
