"""These tests share a running service with others, and take away what they have added."""

from collections.abc import Iterator

import pytest

from demo.process import ServiceProcess
from image_search import Client


def _ids(client: Client) -> set[str]:
    ids: set[str] = set()
    page = client.list(limit=1000)
    while True:
        ids |= {image.id for image in page.images}
        if page.next is None:
            return ids
        page = client.list(limit=1000, cursor=page.next)


@pytest.fixture(scope="module", autouse=True)
def _leave_no_trace(service: ServiceProcess) -> Iterator[None]:
    with Client(service.url) as client:
        ids, keys = _ids(client), client.status().columns.keys()
        yield
        added = sorted(_ids(client) - ids)
        for start in range(0, len(added), 1000):
            client.delete_many(ids=added[start : start + 1000])
        for key in client.status().columns.keys() - keys:
            client.drop_column(key)
