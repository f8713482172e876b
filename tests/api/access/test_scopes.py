"""Every route of the service says what a key must be allowed for it."""

import asyncio
import json
import subprocess
import sys

import pytest

from api.access.caller import CALLER, Caller, Scope, require
from api.access.scopes import Scopes
from api.contract.operations.declared import SCOPES
from api.errors import ForbiddenError

# In a process of its own: importing the service patches BentoML.
ROUTES = """
import json, service
from starlette.routing import Route
mounted = [one for one in service.mounted.routes if isinstance(one, Route)]
of = [(sorted(one.methods - {"HEAD"}), one.path) for one in mounted]
of += [(["POST"], api.route) for api in service._service.apis.values()]
print(json.dumps([[method, path] for methods, path in of for method in methods]))
"""
SYSTEM = {"/schema.json", "/healthz", "/metrics"}
"""BentoML's own that need a key."""


def test_every_route_has_a_scope() -> None:
    """A new route is for `admin` until it is declared in `api.contract.operations`."""
    ran = subprocess.run([sys.executable, "-c", ROUTES], capture_output=True, text=True, check=True)
    declared = json.loads(ran.stdout.splitlines()[-1])
    routes = {(method, path) for method, path in declared}
    files = {one for one in routes if one[1].startswith("/page/")}  # open to all
    assert routes - files == {one for one in SCOPES if one[1] not in SYSTEM}


def test_what_changes_nothing_is_read_and_the_rest_is_not() -> None:
    changes = {one for one, scope in SCOPES.items() if scope is not Scope.READ}
    searches = {
        ("POST", path)
        for path in ("/search_simmilar_images", "/search_similar_images", "/run_object_detection")
    }
    assert {method for method, _ in SCOPES.keys() - changes - searches} == {"GET"}
    assert searches.isdisjoint(changes)
    assert ("DELETE", "/images/{id}") in changes


SOME = Scopes({("GET", "/a"): Scope.READ, ("DELETE", "/a/{id}"): Scope.WRITE})


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/a", Scope.READ),
        ("HEAD", "/a", Scope.READ),
        ("POST", "/a", Scope.ADMIN),
        ("OPTIONS", "/a", Scope.ADMIN),
        ("DELETE", "/a/x", Scope.WRITE),
        ("GET", "/a/x", Scope.ADMIN),
        ("HEAD", "/a/x", Scope.ADMIN),
        ("DELETE", "/a/{id}", Scope.WRITE),
        ("DELETE", "/a/x\n", Scope.WRITE),
        ("DELETE", "/a/x/y", None),
        ("GET", "/A", None),
        ("GET", "/a/", None),
        ("GET", "", None),
    ],
)
def test_what_is_needed(method: str, path: str, needed: Scope | None) -> None:
    assert SOME.needed(method, path) is needed


def test_a_part_of_a_route_may_need_more(caplog: pytest.LogCaptureFixture) -> None:
    require(Scope.ADMIN)  # outside of a request

    async def ask() -> None:
        CALLER.set(Caller("robot", Scope.WRITE, "203.0.113.7"))
        require(Scope.WRITE)
        for _ in range(3):
            with pytest.raises(ForbiddenError, match="'admin'"):
                require(Scope.ADMIN)

    asyncio.run(ask())
    assert [one.getMessage() for one in caplog.records] == [
        "refused (403): a request with the key 'robot', from 203.0.113.7"
    ]
