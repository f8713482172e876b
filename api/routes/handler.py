"""What runs every route: it waits for the backend, keeps the deadline and makes the response.

A route is `async def route(backend, request)`, which returns a model of `api.contract.responses`
or a ready response, and may raise any error of `api.errors`.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract.responses.fields import Answer
from api.errors import Problem, RequestError, problem_of
from api.requests.reader import WITH_BODY, JsonInput
from api.settings import Settings
from api.telemetry.metrics import count_problem
from images.errors import ImageError

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

logger = logging.getLogger("bentoml.image_search")
"""Below BentoML's logger, so that its handlers, levels and trace ids apply."""

_MANY_ROWS, _ROWS_AT_ONCE = 32, 16
_IN_304 = ("cache-control", "etag", "vary")


RouteFunction = Callable[["Backend", Any], Awaitable[Answer | Response]]
Methods = Mapping[str, tuple[type[JsonInput], RouteFunction]]
"""By HTTP method: the model of its requests, and its route."""


class Handler:
    """Runs the routes of a worker, and owns the worker's backend.

    Made where the routes are declared, also in the supervisor; a worker then starts it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = settings.api.request_timeout_s
        self._opening: asyncio.Task[Backend]

    def start(self, embedder: Any, detector: Any) -> None:
        """Begin to connect to the models and to open the table; requests wait for that.

        Args:
            embedder: BentoML's client of `ClipEmbedder`.
            detector: BentoML's client of `YoloDetector`.
        """
        from api.pipeline.backend import Backend  # noqa: PLC0415 - Arrow, OpenCV: not for the supervisor

        self._opening = asyncio.create_task(Backend.open(embedder, detector, self._settings))

    async def stop(self) -> None:
        """Write what waits for a commit, and close the backend."""
        if self._is_open():
            await self._opening.result().close()
        else:
            self._opening.cancel()

    async def backend(self) -> "Backend":
        """The backend, once it is open."""
        return await asyncio.shield(self._opening)

    async def is_ready(self) -> bool:
        """Whether the table is open and takes writes, its store answers, and both models do."""
        if not self._is_open():
            return False
        backend = self._opening.result()
        if not backend.index.healthy:
            return False
        return all(await asyncio.gather(backend.models.answer(), backend.index.answers()))

    async def __call__(self, route: RouteFunction, request: JsonInput | RequestError) -> Response:
        """Run a route; the one place where errors end.

        Whatever is raised becomes `{"message", "code"}` by `api.errors`.
        """
        if isinstance(request, RequestError):
            return _refusal(route, request)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await route(await self.backend(), request)
                return answer if isinstance(answer, Response) else await json_response(answer)
        except Exception as error:
            return _refusal(route, error)

    def mounted(self, paths: Mapping[str, Methods]) -> list[Route]:
        """Starlette routes: for what BentoML has none, other methods than POST and path parameters.

        One for all methods of a path, so that an answer 405 names them all (`Allow`).
        """
        return [Route(path, self._endpoint(of), methods=list(of)) for path, of in paths.items()]

    def _endpoint(self, methods: Methods) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            model, route = methods["GET" if request.method == "HEAD" else request.method]
            if request.method in WITH_BODY:
                parsed = await model.from_http_request(request, None)
            else:
                parsed = model.from_address(request)
            return or_not_modified(request, await self(route, parsed.request))

        return endpoint

    def _is_open(self) -> bool:
        return self._opening.done() and self._opening.exception() is None


def _refusal(route: RouteFunction, error: Exception) -> Response:
    problem = reported(route.__name__, error)
    return JSONResponse(problem.document(), problem.status, problem.headers)


def reported(route: str, error: Exception) -> Problem:
    """Log and count an error of a route, and return it as it goes out.

    What is not the client's fault is logged with its trace.
    """
    problem = problem_of(error)
    count_problem(route, problem)
    detail = getattr(error, "detail", None) or "-"
    fields = {"operation": route, "code": problem.code}
    if problem.ours:
        logger.error("%s failed: %s (%s)", route, error, detail, exc_info=error, extra=fields)
    else:
        # Other messages may repeat what the client sent.
        reason = problem.message if isinstance(error, ImageError) else problem.code
        logger.info("%s refused: %s (%s)", route, reason, detail, extra=fields)
    return problem


async def json_response(answer: Answer) -> Response:
    """An answer as JSON: the bytes that Starlette's JSONResponse makes, of the fields that are set.

    Python's encoder holds the interpreter until it is done, in a thread too, and a thousand results
    are up to 64 MB: many rows are encoded a few at a time, and other requests run in between.
    """
    rows = next(iter(answer.__dict__.values()))  # where there are rows, they come first
    if not isinstance(rows, list) or len(rows) <= _MANY_ROWS:
        return _response(_encode(answer.model_dump(exclude_unset=True)))
    (rows_of, _), *rest = _set_fields(answer).items()
    parts = [f'{{"{rows_of}":[']
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        parts += [_encode(rows[start : start + _ROWS_AT_ONCE])[1:-1], ","]
        await asyncio.sleep(0)
    parts[-1] = "]," + _encode(dict(rest))[1:] if rest else "]}"
    # Joined at once: each step on the way would copy it all.
    return _response("".join(parts))


def _set_fields(model: Answer) -> dict[str, Any]:
    values, given = model.__dict__, model.model_fields_set
    if len(given) == len(values):
        return values
    return {name: value for name, value in values.items() if name in given}


# Not pydantic's own: it writes floats such as 1e-05 in another way.
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_set_fields
).encode


def _response(text: str) -> Response:
    return Response(text.encode(), media_type="application/json")


def or_not_modified(request: Request, response: Response) -> Response:
    """An answer with a tag, or 304 in its place if the client has it (RFC 9110, 13.1.2, 15.4.5)."""
    tag = response.headers.get("etag")
    known = {_weak(each) for each in request.headers.get("if-none-match", "").split(",")}
    if tag is None or not known & {_weak(tag), "*"}:
        return response
    headers = {name: response.headers[name] for name in _IN_304 if name in response.headers}
    return Response(status_code=304, headers=headers)


def _weak(tag: str) -> str:
    """A tag as it is compared here: whether it is a strong one makes no difference."""
    return tag.strip().removeprefix("W/")
