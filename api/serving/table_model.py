"""The CLIP model of a service that names none: its table's own.

A table has one model for ever, and its name is in the table. Nothing here opens a table or imports
torch.
"""

from runners.settings import ENV_PREFIX, ModelSettings
from runners.weights.source import DEMO_CLIP, OF_A_FILE, clip_source, identity_of
from store.errors import ModelMismatchError
from store.schemas import ModelIdentity

_MODEL, _PRETRAINED = f"{ENV_PREFIX}CLIP_MODEL", f"{ENV_PREFIX}CLIP_PRETRAINED"
_OTHERWISE = (
    f"; or set {ENV_PREFIX}STORE_URI to another place, or make the index anew with"
    " `image-search reembed`"
)


def own_model(settings: ModelSettings, made_by: ModelIdentity | None) -> ModelSettings:
    """Settings that name a table's own CLIP model, for settings that name none.

    Args:
        settings: of the models.
        made_by: the model of the table, None where there is no table yet.

    Returns:
        The given settings where they name a model, or where their default is the table's.

    Raises:
        ModelMismatchError: The table's model has no published name; it says what to set.
    """
    if made_by is None or settings.names_clip or is_made_by(settings, made_by):
        return settings
    if own_model_is_taken(settings, made_by):
        names = {"clip_model": made_by.model, "clip_pretrained": made_by.pretrained}
        return settings.model_copy(update=names)
    if made_by.model == DEMO_CLIP:
        raise ModelMismatchError(
            f"the index was made with the demo models: set {ENV_PREFIX}MODELS=demo{_OTHERWISE}"
        )
    raise ModelMismatchError(
        f"the index was made with {made_by.model} and weights from a file, of the SHA-256"
        f" {made_by.pretrained.removeprefix(OF_A_FILE)}: set {_MODEL}={made_by.model} and"
        f" {_PRETRAINED} to the path of that file{_OTHERWISE}"
    )


def own_model_is_taken(settings: ModelSettings, made_by: ModelIdentity) -> bool:
    """Whether settings that name no model stand for that of a table, as it has a published name."""
    return not (settings.names_clip or made_by.pretrained.startswith(OF_A_FILE))


def as_variables(settings: ModelSettings) -> dict[str, str]:
    """Environment variables that name the CLIP model of these settings."""
    return {_MODEL: settings.clip_model, _PRETRAINED: settings.clip_pretrained}


def is_made_by(settings: ModelSettings, made_by: ModelIdentity) -> bool:
    """Whether the CLIP model of these settings is the one that made a table's vectors.

    Raises:
        WeightsMissingError: If it is a file that is missing or not readable.
    """
    source = clip_source(settings)
    return (source.architecture, identity_of(source)) == (made_by.model, made_by.pretrained)
