"""Child processes that answer in lines of JSON: one question, or one after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def answer_of(module: str, settings: Mapping[str, str], *words: object) -> Any:
    """What a module prints last that is run with these words, by these environment variables."""
    command = [sys.executable, "-m", module, *map(str, words)]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


class Child:
    """The process, with an environment and a folder to start in; `ask` waits for its answer."""

    def __init__(
        self, command: Sequence[str], env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=pipe, stdout=pipe, text=True
        )

    def ask(self, **question: Any) -> Any:
        told, said = self._process.stdin, self._process.stdout
        assert told is not None and said is not None  # noqa: S101, PT018 - for mypy
        told.write(json.dumps(question) + "\n")
        told.flush()
        line = said.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended")
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
