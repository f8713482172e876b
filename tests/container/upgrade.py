"""An upgrade: the volume of an image of before, opened by this one."""

import subprocess
import tempfile
from pathlib import Path

from tests.container import service, use
from tests.container.engine import PROJECT, check, docker, run, say

_BEFORE = "image-search-before"


def revision() -> str:
    """The release before, by its tag; before the first one, the first commit with a Dockerfile."""
    tags = run("git", "tag", "--list", "v*", "--sort=-creatordate").split()
    added = ("git", "log", "--diff-filter=A", "--format=%h", "--", "deploy/docker/Dockerfile")
    return tags[0] if tags else run(*added).split()[-1]


def build(before: str, kind: str) -> str:
    """Build the image of a revision; its name."""
    lock = {"torch": "requirements.lock", "cpu": "requirements-cpu.lock"}[kind]
    with tempfile.TemporaryDirectory() as name:
        packed = subprocess.run(
            ["git", "archive", before], capture_output=True, check=True, cwd=PROJECT
        )
        subprocess.run(["tar", "-x", "-C", name], input=packed.stdout, check=True)
        weights = PROJECT / "weights"
        if weights.exists():
            run("cp", "-r", str(weights), str(Path(name) / "weights"))
        file = f"{name}/deploy/docker/Dockerfile"
        docker("build", "-f", file, "-t", _BEFORE, "--build-arg", f"REQUIREMENTS={lock}", name)
    return _BEFORE


def upgraded(before: str, image: str, kind: str, folder: Path, key: str) -> None:
    """Index by the image of before, go on with this one on the same volume."""
    service.remove()
    service.start(build(before, kind), kind, folder)
    with service.client(key) as client:
        count = use.index_search_detect(client)
        first = client.list(limit=1).images[0].id
    service.stop()
    service.remove(volume=False)
    service.start(image, kind, folder)
    with service.client(key) as client:
        check(client.status().rows == count, f"{before} made {count} rows, and they are there")
        check(client.search(id=first, limit=2), "they are searched")
        client.delete(first)
        check(client.status().rows == count - 1, "and written")
    say(f"  upgraded from {before}")
