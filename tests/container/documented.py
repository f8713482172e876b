"""The commands of docs/containers.md, run as they stand.

What a machine cannot do is put otherwise, and each such change is printed: root needs no `sudo`,
no more files can be open than the engine may have, and without the internet the demo models are
served.
"""

import re
import shutil
import subprocess
from pathlib import Path

from tests.container.engine import PROJECT, FailedError, is_root, open_files, say

_PAGE = PROJECT / "docs" / "containers.md"
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def lines(heading: str) -> list[str]:
    """The command lines below a heading, each whole."""
    _, _, section = _PAGE.read_text().partition(f"\n## {heading}\n")
    section = section.partition("\n## ")[0]
    blocks = (block.replace("\\\n", " ") for block in _BLOCK.findall(section))
    found = [" ".join(line.split()) for block in blocks for line in block.splitlines()]
    if not found:
        raise FailedError(f"docs/containers.md has no commands under {heading}")
    return [re.sub(r" # .*", "", line) for line in found if line]


def line(heading: str, part: str) -> str:
    """The one command line below a heading that has this in it."""
    matching = [each for each in lines(heading) if part in each]
    if len(matching) != 1:
        raise FailedError(f"docs/containers.md, {heading}: {len(matching)} lines have {part!r}")
    return matching[0]


def here(command: str) -> str:
    """The command as this machine can run it."""
    if is_root() and not shutil.which("sudo"):
        command = command.replace("sudo ", "")
    return command.replace("nofile=65536", f"nofile={open_files()}")


def shell(command: str, folder: Path = PROJECT) -> str:
    """Run a documented line in a folder, print it, and return what it said.

    Raises:
        FailedError: it ended with an error.
    """
    changed = here(command)
    say(f"$ {changed}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", changed],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if done.returncode != 0:
        raise FailedError((done.stdout + done.stderr)[-2000:])
    return (done.stdout + done.stderr).strip()
