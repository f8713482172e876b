"""Run-time patches of BentoML 1.4.39, uvicorn and circus: all there are, applied in one place.

    supervisor   how circus stops its workers, where it takes commands, where files are written,
                 where it listens, and what the models' workers are given
    server       BentoML's ASGI applications: the front around the API, middlewares, media types;
                 bounds on uvicorn's HTTP parser

`service` calls `apply_patches` when it is imported, in the supervisor and in every worker alike. (A
supervisor of one model alone, `--service-name`, calls none of the API's hooks.)
`tests/api/serving/test_patches.py` fails where an upgrade moved or changed what is patched. The
models' batchers are patched by `runners.serving.service`, which does not know this package.
"""

from collections.abc import Iterable
from typing import Any

from api.serving.patches import server, supervisor
from api.serving.patches.server import Front


def apply_patches(  # noqa: PLR0913 - each is another thing that is patched
    service: Any,
    front: Front,
    paths: Iterable[str],
    *,
    stop_s: float,
    umask: int,
    open_to_others: bool,
) -> None:
    """Patch this process. Call it once, before the process serves or supervises.

    Args:
        service: the BentoML service of the API.
        front: wraps that service's ASGI application in the middlewares of `api.middleware`.
        paths: of its routes; metrics and logs name no others.
        stop_s: after so many seconds a stop kills the workers that still run.
        umask: of the supervisor and its workers.
        open_to_others: whether others than this machine may reach it.
    """
    supervisor.patch(stop_s, umask, open_to_others=open_to_others)
    server.patch(service, front, paths)
