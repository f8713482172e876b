"""Paths in metrics have few names, and the asked path comes back behind them."""

import asyncio
from typing import Any

import pytest

from api.middleware.path_names import NOWHERE, AskedPaths, Shown, _under

SHOWN = Shown(["/images", "/images/{id}", "/index"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images", "/images"),
        ("/images/abc", "/images/{id}"),
        ("/images/a\nforged", "/images/{id}"),
        ("/images/{id}", "/images/{id}"),
        ("/images/", NOWHERE),
        ("/images/a/b", NOWHERE),
        ("/Index", NOWHERE),
    ],
)
def test_paths_have_few_names(path: str, name: str) -> None:
    assert SHOWN.name(path) == name


def test_the_asked_path_comes_back_behind_the_metrics() -> None:
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["raw_path"]))

    for path in ("/images/a", "/made-up", "/index"):
        scope = {"type": "http", "path": path, "raw_path": path.encode()}
        asyncio.run(AskedPaths(inner)(_under(scope, SHOWN.name(path)), None, None))  # type: ignore[arg-type]
    assert seen == [("/images/a", b"/images/a"), (NOWHERE, NOWHERE.encode()), ("/index", b"/index")]
