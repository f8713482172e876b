"""What tests of a shared service leave behind, and how it is taken away."""

from collections.abc import Iterator

import pytest

from demo.process import ServiceProcess
from image_search import Client


@pytest.fixture(scope="module", autouse=True)
def leave_no_trace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Deletes the images and drops the keys that a module of tests has added."""
    mine = (item for item in request.session.items if item.nodeid.startswith(request.node.nodeid))
    if not any("service" in getattr(item, "fixturenames", ()) for item in mine):
        yield
        return
    service: ServiceProcess = request.getfixturevalue("service")
    with Client(service.url) as client:
        ids, keys = _ids(client), client.status().columns.keys()
        yield
        added = sorted(_ids(client) - ids)
        for start in range(0, len(added), 1000):
            client.delete_many(ids=added[start : start + 1000])
        for key in client.status().columns.keys() - keys:
            client.drop_column(key)


def _ids(client: Client) -> set[str]:
    ids: set[str] = set()
    page = client.list(limit=1000)
    while True:
        ids |= {image.id for image in page.images}
        if page.next is None:
            return ids
        page = client.list(limit=1000, cursor=page.next)
