"""Run-time patches of BentoML 1.4.39, uvicorn and circus: all there are, applied in one place.

    supervisor   how circus stops its workers, where it takes commands, where files are written,
                 where it listens, and what the models' workers are given
    server       BentoML's ASGI applications: the front around the API and around each model
                 service, middlewares, media types; bounds on uvicorn's HTTP parser

`service` calls `apply_patches` when it is imported, in the supervisor and in every worker alike. (A
supervisor of a model service alone calls none of the API's hooks: `prepare_model` is in their
place.)
`tests/api/serving/test_patches.py` fails where an upgrade moved or changed what is patched. The
models' batchers are patched by `runners.serving.service`, which does not know this package.
"""

from collections.abc import Callable, Iterable, Mapping
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
    model_token: str,
    prepare_model: Callable[[str], Mapping[str, str]],
) -> None:
    """Patch this process. Call it once, before the process serves or supervises.

    Args:
        service: the BentoML service of the API.
        front: wraps that service's ASGI application in the middlewares of `api.middleware`.
        paths: of its routes; metrics and logs name no others.
        stop_s: after so many seconds a stop kills the workers that still run.
        umask: of the supervisor and its workers.
        open_to_others: whether others than this machine may reach it.
        model_token: of calls to a model service from other hosts.
        prepare_model: checks what a model service needs that is served by itself, by its name.
    """
    supervisor.patch(stop_s, umask, open_to_others=open_to_others, prepare_model=prepare_model)
    server.patch(service, front, paths, model_token)
