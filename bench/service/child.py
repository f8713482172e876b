"""Child process that answers questions, one line of JSON each way."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
