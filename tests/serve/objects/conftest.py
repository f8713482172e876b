"""One service for this folder, which indexes the objects of images: sixteen of each at most."""

from collections.abc import Iterator

import pytest

from demo.process import ServiceProcess
from tests.running import Post, environment, poster

OBJECTS_MAX = 16


@pytest.fixture(scope="package")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("finding")
    settings = environment(
        folder, IMAGE_SEARCH_OBJECTS="on", IMAGE_SEARCH_OBJECTS_MAX=str(OBJECTS_MAX)
    )
    with ServiceProcess(settings, folder / "log") as running:
        yield running


@pytest.fixture(scope="package")
def send(finding: ServiceProcess) -> Post:
    return poster(finding.url)
