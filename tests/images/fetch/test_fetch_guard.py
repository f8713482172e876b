"""Where a download must never go, however it is asked to."""

import socket
from collections.abc import Sequence

import pytest

from images.errors import UnreachableError
from tests.images.conftest import MakeFetcher
from tests.images.fetch.servers import ALLOWED, FORBIDDEN, Canary, http_server

BODY = b"a picture"


class FakeResolver:
    """Answers with one list of addresses after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "127.0.0.2.",
        "127.2",
        "127.0.2",
        "2130706434",
        "0x7f000002",
        "0x7f.0.0.2",
        "0177.0.0.2",
        "017700000002",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::127.0.0.2]",
        "[64:ff9b::127.0.0.2]",
        "[2002:7f00:2::]",
    ],
)
def test_no_spelling_of_an_address_gets_through(
    host: str, make_fetcher: MakeFetcher, canary: Canary
) -> None:
    with pytest.raises(UnreachableError):
        make_fetcher().fetch(f"http://{host}:{canary.port}/")


@pytest.mark.parametrize("host", ["127.2", "2130706434", "0x7f.0.0.2", "[::ffff:127.0.0.2]"])
def test_those_spellings_do_mean_that_address(host: str, make_fetcher: MakeFetcher) -> None:
    with http_server(lambda _: (200, {}, BODY)) as server:
        own = host.replace("127.0.0.2", ALLOWED).replace("127.2", "127.1")
        own = own.replace("2130706434", "2130706433").replace("0x7f.0.0.2", "0x7f.0.0.1")
        assert make_fetcher().fetch(f"http://{own}:{server.port}/") == BODY


@pytest.mark.parametrize(
    "location", ["http://{canary}/", "//{canary}/x", "http://2130706434:{port}/"]
)
def test_a_redirect_is_judged_like_a_first_request(
    location: str, make_fetcher: MakeFetcher, canary: Canary
) -> None:
    target = location.format(canary=canary.host, port=canary.port)
    with (
        http_server(lambda _: (302, {"Location": target}, b"")) as server,
        pytest.raises(UnreachableError, match="could not be reached") as caught,
    ):
        make_fetcher().fetch(server.url)
    assert "blocked" in caught.value.detail


def test_the_judged_address_is_the_one_connected_to(
    make_fetcher: MakeFetcher, canary: Canary
) -> None:
    resolve = FakeResolver([ALLOWED], [FORBIDDEN])
    fetcher = make_fetcher(resolve=resolve)
    with http_server(lambda _: (200, {}, BODY)) as server:
        assert fetcher.fetch(f"http://rebinding.test:{server.port}/") == BODY
        assert resolve.asked == ["rebinding.test"]
        with pytest.raises(UnreachableError):
            fetcher.fetch(f"http://rebinding.test:{canary.port}/")
        # The connection that was made to a judged address still serves; a new one is not made.
        assert fetcher.fetch(f"http://rebinding.test:{server.port}/") == BODY
        assert server.connections == 1
        fetcher.close()
        with pytest.raises(UnreachableError):
            fetcher.fetch(f"http://rebinding.test:{server.port}/")
    assert len(server.requests) == 2


def test_a_name_is_judged_anew_for_a_new_connection_on_a_redirect_to_itself(
    make_fetcher: MakeFetcher,
) -> None:
    resolve = FakeResolver([ALLOWED], [FORBIDDEN])
    with (
        http_server(lambda _: (302, {"Location": "/again"}, b"unread")) as server,
        pytest.raises(UnreachableError),
    ):
        make_fetcher(resolve=resolve).fetch(f"http://rebinding.test:{server.port}/")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [[ALLOWED, FORBIDDEN], [FORBIDDEN, ALLOWED], [ALLOWED, "::1"], ["8.8.8.8", "10.0.0.1"]],
)
def test_one_forbidden_answer_condemns_the_name(
    answers: list[str], make_fetcher: MakeFetcher, canary: Canary
) -> None:
    with (
        http_server(lambda _: (200, {}, BODY)) as server,
        pytest.raises(UnreachableError, match="could not be reached") as caught,
    ):
        make_fetcher(resolve=FakeResolver(answers)).fetch(f"http://mixed.test:{server.port}/")
    assert "blocked" in caught.value.detail
    assert server.requests == []


def test_a_name_beyond_ascii_is_looked_up_in_its_ascii_form(make_fetcher: MakeFetcher) -> None:
    resolve = FakeResolver([ALLOWED])
    with http_server(lambda _: (200, {}, BODY)) as server:
        url = f"http://B\u00fccher.test:{server.port}/"
        assert make_fetcher(resolve=resolve).fetch(url) == BODY
    assert resolve.asked == ["xn--bcher-kva.test"]


def test_an_allowed_name_may_resolve_to_anything(make_fetcher: MakeFetcher, canary: Canary) -> None:
    fetcher = make_fetcher(resolve=FakeResolver([ALLOWED]), allow_networks="cdn.internal")
    with http_server(lambda _: (200, {}, BODY)) as server:
        assert fetcher.fetch(f"http://CDN.internal:{server.port}/") == BODY
        assert fetcher.fetch(f"http://cdn.internal.:{server.port}/") == BODY
        for other in ("a.cdn.internal", "cdn.internal.example.com", "internal", ALLOWED):
            with pytest.raises(UnreachableError):
                fetcher.fetch(f"http://{other}:{server.port}/")
    assert len(server.requests) == 2


def test_with_no_allow_list_nothing_here_can_be_fetched(make_fetcher: MakeFetcher) -> None:
    with http_server(lambda _: (200, {}, BODY)) as server:
        fetcher = make_fetcher(allow_networks="")
        for host in (ALLOWED, "localhost", "[::ffff:127.0.0.1]"):
            with pytest.raises(UnreachableError):
                fetcher.fetch(f"http://{host}:{server.port}/")
    assert server.requests == []


def test_the_second_address_is_tried_when_the_first_does_not_answer(
    make_fetcher: MakeFetcher,
) -> None:
    resolve = FakeResolver(["127.0.0.3", ALLOWED])
    fetcher = make_fetcher(resolve=resolve, allow_networks="127.0.0.0/8")
    with http_server(lambda _: (200, {}, BODY)) as server:
        assert fetcher.fetch(f"http://two.test:{server.port}/") == BODY


def test_a_blocked_host_looks_like_an_unreachable_one(
    make_fetcher: MakeFetcher, canary: Canary
) -> None:
    with socket.create_server((ALLOWED, 0)) as listening:
        closed_port = listening.getsockname()[1]

    def unknown(host: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    fetcher = make_fetcher()
    cases = {
        "blocked": (fetcher, f"http://{canary.host}/"),
        "blocked name": (make_fetcher(resolve=FakeResolver(["10.0.0.1"])), "http://in.test/"),
        "blocked port": (make_fetcher(allow_networks=""), "http://8.8.8.8:22/"),
        "closed": (fetcher, f"http://{ALLOWED}:{closed_port}/"),
        "unknown": (make_fetcher(resolve=unknown), "http://unknown.test/"),
        "no address": (make_fetcher(resolve=FakeResolver([])), "http://empty.test/"),
    }
    seen = set()
    details = set()
    for fetcher_of_case, url in cases.values():
        with pytest.raises(UnreachableError) as caught:
            fetcher_of_case.fetch(url)
        seen.add((type(caught.value), caught.value.code, str(caught.value)))
        details.add(caught.value.detail)
    assert len(seen) == 1
    assert len(details) == len(cases)
