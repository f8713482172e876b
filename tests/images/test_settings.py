from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from images.settings import DecodeSettings, FetchSettings


def test_nothing_private_is_allowed_by_default() -> None:
    assert FetchSettings().allow_networks == ()


def test_the_allow_list_is_split_into_networks_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "IMAGE_SEARCH_ALLOW_NETWORKS", " 10.0.0.0/8, 192.168.1.5,fd00::/8 ,CDN.internal.,localhost,"
    )
    assert FetchSettings().allow_networks == (
        ip_network("10.0.0.0/8"),
        ip_network("192.168.1.5/32"),
        ip_network("fd00::/8"),
        "cdn.internal",
        "localhost",
    )


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/33",
        "10.0.0.1/8",
        "300.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "*",
        "*.internal",
        "http://cdn.internal",
        "cdn.internal:8080",
        "[::1]",
        "a..b",
        "-x",
        "two words",
        "fe80::1%eth0",
        "b\u00fccher.test",
    ],
)
def test_an_entry_that_means_nothing_ends_the_start(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_ALLOW_NETWORKS", f"10.0.0.0/8,{entry}")
    with pytest.raises(ValidationError) as caught:
        FetchSettings()
    (problem,) = caught.value.errors()
    assert repr(entry) in problem["msg"]
    assert problem["loc"] == ("allow_networks",)
    assert "\n" not in problem["msg"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FETCH_TIMEOUT_S", "0"),
        ("FETCH_TIMEOUT_S", "nan"),
        ("CONNECT_TIMEOUT_S", "0"),
        ("CONNECT_TIMEOUT_S", "inf"),
        ("MAX_IMAGE_BYTES", "0"),
        ("MAX_REDIRECTS", "-1"),
        ("MAX_IMAGE_PIXELS", "0"),
        ("MAX_ASPECT_RATIO", "0.5"),
        ("MAX_ASPECT_RATIO", "inf"),
    ],
)
def test_limits_are_limited(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"IMAGE_SEARCH_{name}", value)
    with pytest.raises(ValidationError):
        (FetchSettings(), DecodeSettings())


@pytest.mark.parametrize("settings", [FetchSettings, DecodeSettings])
def test_every_setting_says_what_it_means(
    settings: type[FetchSettings] | type[DecodeSettings],
) -> None:
    for name, field in settings.model_fields.items():
        assert field.description, name
