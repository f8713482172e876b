"""The settings, read together: one line for what cannot be meant."""

from pathlib import Path

import pytest

from api.settings import Settings, SettingsError


def test_defaults() -> None:
    settings = Settings.from_environment()
    assert settings.api.api_keys == frozenset()
    assert settings.models.models == "pretrained"
    assert Path(settings.store.store_uri) == Path("data/index")


def test_keys_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_API_KEYS", " one-of-sixteen-signs, two-of-sixteen-signs ,,")
    assert Settings.from_environment().api.api_keys == {
        "one-of-sixteen-signs",
        "two-of-sixteen-signs",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_BODY_BYTES", "many"),
        ("REQUEST_TIMEOUT_S", "-1"),
        ("API_WORKERS", "0"),
        ("API_KEYS", ",, ,"),
        ("API_KEYS", "a-key-of-sixteen-signs,a bad key of sixteen"),
        ("API_KEYS", "tab\there-and-more-of-it"),
        ("API_KEYS", "a-key-of-sixteen-signs,fifteen-of-them"),
        ("HOSTS", "http://images.example.com"),
        ("HOSTS", "images.example.com:3000"),
        ("HOSTS", "a..b"),
        ("HOSTS", "*"),
        ("HOSTS", "*.example.com"),
        ("OPEN", "perhaps"),
        ("CORS_ORIGINS", "shop.example"),
        ("CORS_ORIGINS", "https://shop.example/"),
        ("CORS_ORIGINS", "https://Shop.example"),
        ("CORS_ORIGINS", "https://*.example"),
        ("CORS_ORIGINS", "https://a@shop.example"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*, ftp://shop.example"),
        ("API_WORKERS", "65"),
        ("NEAR_DUPLICATE_SIMILARITY", "0.4"),
        ("NEAR_DUPLICATE_SIMILARITY", "1.1"),
        ("NEAR_DUPLICATE_SIMILARITY", "nan"),
        ("ALLOW_NETWORKS", "10.0.0.0/64"),
        ("MODELS", "big"),
        ("DEVICE", "tpu"),
        ("STORE_URI", ""),
        ("MAX_IMAGE_PIXELS", "1e99"),
    ],
)
def test_a_senseless_value_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"IMAGE_SEARCH_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    assert f"IMAGE_SEARCH_{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_API_KEYS", "a secret key")
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    assert "secret" not in str(caught.value)


def test_a_file_of_keys_locks_and_an_empty_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, locked in (("", False), ("keys.txt", True)):
        monkeypatch.setenv("IMAGE_SEARCH_API_KEYS_FILE", given)
        api = Settings.from_environment().api
        assert (api.locked, api.api_keys_file) == (locked, Path(given) if locked else None)


def test_hosts_are_names_in_one_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_HOSTS", " Images.Example.com. , box ,")
    assert Settings.from_environment().api.hosts == {"images.example.com", "box"}


@pytest.mark.parametrize("origin", ["https://shop.example", "http://127.0.0.1:8080", "*"])
def test_origins(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_CORS_ORIGINS", f"{origin}, https://other.example")
    assert Settings.from_environment().api.cors_origins == {origin, "https://other.example"}


@pytest.mark.parametrize("value", ["0", "0.5", "1"])
def test_near_duplicates_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_NEAR_DUPLICATE_SIMILARITY", value)
    assert Settings.from_environment().api.near_duplicate_similarity == float(value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("API_KEY", "; did you mean IMAGE_SEARCH_API_KEYS?"),
        ("CLIP_MODL", "; did you mean IMAGE_SEARCH_CLIP_MODEL?"),
        ("STORE_QUEUESIZE", "; did you mean IMAGE_SEARCH_STORE_QUEUE_SIZE?"),
        ("FOO", ""),
        ("STORE_FOO", ""),
    ],
)
def test_a_name_that_is_no_setting(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv(f"IMAGE_SEARCH_{name}", "x")
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    assert str(caught.value) == f"IMAGE_SEARCH_{name} is no setting{hint}"


def test_what_is_set_for_the_command_line_is_no_misspelling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_SERVER", "http://127.0.0.1:3000")
    monkeypatch.setenv("IMAGE_SEARCH_API_KEYS", "a-key-of-sixteen-signs, another-of-sixteen")
    monkeypatch.setenv("IMAGE_SEARCH_API_KEY", "a-key-of-sixteen-signs")
    monkeypatch.setenv("IMAGE_SEARCH_API_KEY_FILE", "key")
    assert Settings.from_environment().api.api_keys == {
        "a-key-of-sixteen-signs",
        "another-of-sixteen",
    }
