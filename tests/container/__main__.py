"""Both images, built and run for real, as the docs say: before a release.

    uv run python -m tests.container            # both; --only cpu takes a few minutes and 6 GB

As root, or as one who may use docker. It takes Debian's packages for what a machine without a
registry lacks: the engine, the base image, Caddy and Prometheus. It ends with 1 where something is
not as it must be. What it builds stays; its containers and volumes go.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.container import build, compose, hardened, service, upgrade, use
from tests.container.documented import lines, shell
from tests.container.engine import FailedError, engine, say

T = TypeVar("T")


def prove(kind: str, folder: Path, key: str) -> None:
    """Everything that is to be seen of one image."""
    image = _step(f"{kind}: build", lambda: build.build(kind))
    _step(f"{kind}: what is in it", lambda: build.inside(image))
    service.remove()
    _step(f"{kind}: run", lambda: _run(image, kind, folder, key))
    _step(f"{kind}: confined", hardened.confined)
    _step(f"{kind}: the command", hardened.command_inside)
    _step(f"{kind}: a decoder taken over", hardened.taken_over)
    _step(f"{kind}: kill -9 under writes", lambda: use.killed_under_writes(key))
    _step(f"{kind}: a worker dies", use.worker_dies)
    _step(f"{kind}: stop and start", lambda: use.stopped_and_started(key))
    _step(f"{kind}: the table is whole", lambda: hardened.checked_offline(image))
    _step(f"{kind}: limits", lambda: hardened.limits(image, kind, folder))
    _step(f"{kind}: what cannot work", lambda: hardened.refusals(image, kind, folder))
    service.remove()


def _run(image: str, kind: str, folder: Path, key: str) -> None:
    say(f"  ready {service.start(image, kind, folder, hardened.PROOF):.1f} s after `docker run`")
    with service.client(key) as client:
        use.index_search_detect(client)
    say(f"  {service.memory_mb()} MB of memory, pages that are shared counted for each process")


def _step(title: str, do: Callable[[], T]) -> T:
    say(f"\n== {title}")
    return do()


def main() -> int:
    """Prove it; 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=tuple(build.IMAGES))
    parser.add_argument("--before", default="", help="the revision to upgrade from")
    given = parser.parse_args()
    kinds = [given.only] if given.only else list(build.IMAGES)
    with tempfile.TemporaryDirectory() as name, engine():
        try:
            _all(kinds, given.before or upgrade.revision(), Path(name))
        except FailedError as failed:
            say(f"\nFAILED: {failed}")
            return 1
        finally:
            service.remove()
    say("\nall is as it must be")
    return 0


def _all(kinds: list[str], before: str, folder: Path) -> None:
    folder.chmod(0o755)
    _step("base image", build.base_image)
    _step("converted models", lambda: shell(lines("Converted models")[0]))
    _step("bill of materials, audit", lambda: build.documented_lists(folder))
    key = _step("keys", lambda: service.make_keys(folder))
    for kind in kinds:
        prove(kind, folder, key)
    last = kinds[-1]
    image = build.IMAGES[last]
    _step("compose", lambda: compose.started(image, last, folder))
    _step("upgrade", lambda: upgrade.upgraded(before, image, last, folder, key))


if __name__ == "__main__":
    sys.exit(main())
