"""Scopes of the routes: what a key must be allowed, for a method at a path."""

import re
from collections.abc import Mapping

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import compile_path

from api.access.caller import Scope


class Rest(StringConvertor):
    """The rest of a path, at least a character: a metadata key may have slashes and line breaks."""

    regex = r"[\s\S]+"


register_url_convertor("rest", Rest())


class Scopes:
    """What each route needs. What nobody has declared is for `ADMIN` alone.

    Args:
        declared: by HTTP method and path; a path may be a template, as Starlette writes them.
    """

    def __init__(self, declared: Mapping[tuple[str, str], Scope]) -> None:
        self._declared = dict(declared)
        paths = sorted({path for _, path in declared})
        self._plain = frozenset(path for path in paths if "{" not in path)
        self._templates: list[tuple[re.Pattern[str], str]] = [
            (compile_path(path)[0], path) for path in paths if "{" in path
        ]

    def needed(self, method: str, path: str) -> Scope | None:
        """What a key must be allowed; None where nothing is declared at this path."""
        route = path if path in self._plain else self._template(path)
        if route is None:
            return None
        asked = "GET" if method == "HEAD" else method
        return self._declared.get((asked, route), Scope.ADMIN)

    def _template(self, path: str) -> str | None:
        return next((name for pattern, name in self._templates if pattern.match(path)), None)
