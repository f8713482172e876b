"""The client in empty environments: every example of docs/python.md, with one Python after another.

    python -m tests.serve.docs.pythons 3.10 3.12 /opt/python3.14/bin/python3.14

Each is what `uv venv --python` takes. The package is built from client/, installed from nothing
else than PyPI, and weighed; the service with the demo models answers.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer
from tests.running import environment

MOST_BYTES = 15_000_000
SERVICE, PICTURES = "http://127.0.0.1:3000", "http://127.0.0.1:3080/"
QUERY = "query.jpg"
_PAGE = PROJECT / "docs" / "python.md"
_PACKAGE = "./client"


class Example(NamedTuple):
    """A block of the page: `python`, or `sh`, which has lines of commands."""

    language: str
    code: str


def examples(service: str, pictures: str) -> list[Example]:
    """The page's blocks in its order, for a service and pictures that are elsewhere.

    A client that is told no address takes the service's default one, which nobody listens on here.
    """
    page = _PAGE.read_text().replace(SERVICE, service).replace(PICTURES, pictures)
    page = re.sub(r"Client\((?=\)|retries=)", f"Client({service!r}, ", page).replace(", )", ")")
    return [Example(*found) for found in re.findall(r"```(python|sh)\n(.*?)```", page, re.DOTALL)]


class Environment:
    """An environment that has nothing but what the page installs.

    Args:
        python: interpreter, as `uv venv` takes it.
        folder: for the environment, and for what the examples write.
        server: address of the service.
    """

    def __init__(self, python: str, folder: Path, server: str) -> None:
        self._python, self._work = folder / "venv" / "bin" / "python", folder / "work"
        self._work.mkdir()
        self._settings = {"PATH": os.environ["PATH"], "IMAGE_SEARCH_SERVER": server}
        for name in ("HOME", "SSL_CERT_FILE", "UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
            if name in os.environ:
                self._settings[name] = os.environ[name]
        self._called("uv", "venv", "--quiet", "--python", python, str(folder / "venv"))
        self.version = self._called(str(self._python), "--version").split()[1]
        [self._packages] = (folder / "venv" / "lib").glob("python*/site-packages")
        self._empty = self._size()

    def run(self, example: Example) -> int:
        """Do what a block says; tells how many examples it was."""
        if example.language == "python":
            self._called(str(self._python), "-c", example.code)
            return 1
        lines = example.code.splitlines()
        for line in lines:
            self._command(*shlex.split(line))
        return len(lines)

    def weigh(self) -> int:
        """Bytes that have come into the environment."""
        return self._size() - self._empty

    def compile(self) -> None:
        """Have the bytecode of all modules written, as running them would."""
        self._called(str(self._python), "-m", "compileall", "-q", str(self._packages))

    def _command(self, name: str, *words: str) -> None:
        if name == "pip":
            client = [word.replace(_PACKAGE, str(PROJECT / "client")) for word in words]
            self._called("uv", "pip", client[0], "--quiet", "-p", str(self._python), *client[1:])
        else:
            self._called(str(self._python.with_name(name)), *words)

    def _called(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._work,
            env=self._settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != 0:
            raise AssertionError(f"{shlex.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _size(self) -> int:
        files = (each for each in self._packages.rglob("*") if each.is_file())
        return sum(each.stat().st_size for each in files)


def try_one(python: str, folder: Path, service: str, pictures: str) -> None:
    """Install and do everything with one Python, and print a line of figures.

    Raises:
        AssertionError: an example failed, or the package is too large.
    """
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(dir=folder))
    tried = Environment(python, folder, service)
    install, *others = examples(service, pictures)
    lines = install.code.splitlines(keepends=True)
    done = tried.run(Example("sh", lines[0]))
    installed = tried.weigh()
    tried.compile()
    told = {"python": tried.version, "MB": installed / 1e6, "MB with bytecode": tried.weigh() / 1e6}
    done += sum(map(tried.run, [Example("sh", "".join(lines[1:])), *others]))
    told = {name: round(one, 1) if isinstance(one, float) else one for name, one in told.items()}
    print(json.dumps({**told, "examples": done, "seconds": round(time.monotonic() - began, 1)}))
    if installed >= MOST_BYTES:
        raise AssertionError(f"the client takes {installed} bytes, {MOST_BYTES} or more")


def main() -> None:
    """Try every Python, and exit with 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("python", nargs="+", help="an interpreter, as `uv venv --python` takes it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, PictureServer() as pictures:
        folder = Path(name)
        pictures.add(QUERY, draw_scene(SHOW_SEEDS[-1]).picture)
        with ServiceProcess(environment(folder), folder / "log") as service:
            for python in given.python:
                try:
                    try_one(python, folder, service.url, pictures.url)
                except AssertionError as error:
                    sys.exit(f"{python}: {error}")


if __name__ == "__main__":
    main()
