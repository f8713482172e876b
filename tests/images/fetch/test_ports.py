import pytest
from pydantic import ValidationError

from images.errors import UnreachableError
from images.fetch.destinations import Ports
from images.settings import FetchSettings, parse_ports
from tests.images.conftest import MakeFetcher
from tests.images.fetch.servers import http_server

OTHERS = [1, 21, 22, 25, 53, 79, 81, 111, 139, 389, 445, 465, 993, 1023]
SERVICES = [1433, 2049, 2375, 2379, 3128, 3306, 3389, 4369, 5432, 5672, 5900, 5984, 6000, 6379]
SERVICES += [6443, 6667, 8086, 8500, 9042, 9092, 9100, 9200, 9300, 10250, 11211, 15672, 27017]


@pytest.mark.parametrize("port", OTHERS + SERVICES)
def test_a_port_of_another_service_is_forbidden(port: int) -> None:
    assert Ports(*parse_ports("web")).forbidden_reason(port)


@pytest.mark.parametrize("port", [80, 443, 1024, 3000, 5000, 8000, 8080, 8443, 8888, 9000, 65535])
def test_a_port_where_pictures_may_be_is_not(port: int) -> None:
    assert Ports(*parse_ports("web")).forbidden_reason(port) is None


@pytest.mark.parametrize(
    ("text", "allowed", "forbidden"),
    [
        ("80,443", [80, 443], [81, 8080]),
        ("443", [443], [80, 8443]),
        ("8000-8999", [8000, 8500, 8999], [80, 7999, 9000]),
        (" 8000 - 8010 , 80 ,", [80, 8000, 8010], [443, 8011]),
        ("web,81", [80, 81, 443, 8080], [22, 6379]),
        ("WEB,6379", [6379, 80], [6380]),
        ("1-65535", [1, 22, 6379, 65535], []),
    ],
)
def test_the_ports_can_be_named(text: str, allowed: list[int], forbidden: list[int]) -> None:
    ports = Ports(*parse_ports(text))
    assert [port for port in allowed if ports.forbidden_reason(port)] == []
    assert [port for port in forbidden if not ports.forbidden_reason(port)] == []


@pytest.mark.parametrize(
    "entry",
    ["", ",", "0", "65536", "80-79", "80-", "-80", "http", "80;443", "1e3", "0x50", "8\u0660"],
)
def test_an_entry_that_means_nothing_ends_the_start(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_FETCH_PORTS", entry)
    with pytest.raises(ValidationError) as caught:
        FetchSettings()
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("fetch_ports",)
    assert "\n" not in problem["msg"]


def test_an_allowed_address_has_no_other_ports_for_it(make_fetcher: MakeFetcher) -> None:
    with http_server(lambda _: (200, {}, b"body")) as server:
        assert make_fetcher(fetch_ports=str(server.port)).fetch(server.url) == b"body"
        for allow in ("127.0.0.1", "localhost"):
            fetcher = make_fetcher(fetch_ports="80", allow_networks=allow)
            with pytest.raises(UnreachableError) as caught:
                fetcher.fetch(f"http://localhost:{server.port}/")
            assert "blocked: port" in caught.value.detail
    assert len(server.requests) == 1
