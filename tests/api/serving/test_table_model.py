"""Which CLIP model a start takes, by what the settings name and what made the table."""

import pytest

from api.serving.table_model import own_model
from runners.settings import ModelSettings
from store.errors import ModelMismatchError
from store.schemas import ModelIdentity

DEFAULT = ("ViT-B-32", "laion2b_s34b_b79k")
OTHER = ("ViT-B-16", "laion2b_s34b_b88k")


@pytest.mark.parametrize(
    ("named", "table", "taken"),
    [
        ({}, None, DEFAULT),
        ({}, DEFAULT, DEFAULT),
        ({}, OTHER, OTHER),
        ({"CLIP_MODEL": "ViT-B-16"}, OTHER, ("ViT-B-16", DEFAULT[1])),
        ({"CLIP_PRETRAINED": "openai"}, OTHER, ("ViT-B-32", "openai")),
        ({"CLIP_MODEL": DEFAULT[0], "CLIP_PRETRAINED": DEFAULT[1]}, OTHER, DEFAULT),
        ({"MODELS": "pretrained", "YOLO_WEIGHTS": "yolo11s.pt"}, OTHER, OTHER),
        ({"MODELS": "demo"}, OTHER, DEFAULT),  # which the demo does not look at
    ],
)
def test_only_who_names_no_model_is_given_the_tables(
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, str],
    table: tuple[str, str] | None,
    taken: tuple[str, str],
) -> None:
    for name, text in named.items():
        monkeypatch.setenv(f"IMAGE_SEARCH_{name}", text)
    settings = ModelSettings()
    own = own_model(settings, ModelIdentity(*table, 512) if table else None)
    assert (own.clip_model, own.clip_pretrained) == taken
    assert (own is settings) == (taken != OTHER)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (("image-search-demo", "sha256:" + "0" * 64), "set IMAGE_SEARCH_MODELS=demo; or"),
        (("ViT-L-14", "sha256:" + "0" * 64), "IMAGE_SEARCH_CLIP_MODEL=ViT-L-14 and"),
    ],
)
def test_what_has_no_published_name_is_told_by_the_setting(
    table: tuple[str, str], said: str
) -> None:
    with pytest.raises(ModelMismatchError, match=said):
        own_model(ModelSettings(), ModelIdentity(*table, 512))
