"""`image-search models`: which models there are, what they cost, which ones are set here."""

from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from cli.offline.commands import errors_in_one_line
from image_search.cli.query.printing import as_json_lines, print_rows

if TYPE_CHECKING:
    from cli.models.published import ClipEntry, YoloEntry
    from runners.settings import ModelSettings

_CLIP_HEAD = (
    *("model", "pretrained", "COCO", "Flickr", "36 lang."),
    *("GFLOP", "dim", "GB", "licence", "here"),
)
_YOLO_HEAD = ("weights", "mAP", "GFLOP", "million parameters", "here")
_EXPLAINED = (
    "Set IMAGE_SEARCH_CLIP_MODEL and IMAGE_SEARCH_CLIP_PRETRAINED to the first two of a line, and"
    " IMAGE_SEARCH_YOLO_WEIGHTS to the first of a detector's.",
    "COCO, Flickr, 36 lang(uages): how often the right picture comes first for a text. mAP: on COCO"
    " val2017, in percent. GFLOP: for one picture. Sources and speeds: docs/models.md",
)


@click.command()
@as_json_lines
def models(as_json: bool) -> None:
    """Compare published models, and say which ones are set here.

    Asks no service. Any other model of open_clip and ultralytics will do as well. A service whose
    settings name no CLIP model takes that of its index.
    """
    with errors_in_one_line():
        from api.settings import Settings  # noqa: PLC0415 - so that --help is fast
        from cli.models.published import clip_entries, yolo_entries  # noqa: PLC0415

        settings = Settings.from_environment().models
        clip = [(one, _state(one, settings)) for one in clip_entries()]
        yolo = [(one, _state(one, settings)) for one in yolo_entries()]
    documents = [_document("clip", *each) for each in clip]
    print_rows(_CLIP_HEAD, [_clip_row(*each) for each in clip], documents, as_json)
    documents = [_document("yolo", *each) for each in yolo]
    print_rows(_YOLO_HEAD, [_yolo_row(*each) for each in yolo], documents, as_json)
    if not as_json:
        for line in (*_unlisted(settings, clip, yolo), *_EXPLAINED):
            click.echo(line, err=True)


_State = dict[str, bool]
"""What holds of a model here: `set`, `downloaded`, and of CLIP's `lacks <package>`."""


def _state(one: "ClipEntry | YoloEntry", settings: "ModelSettings") -> _State:
    return {"set": one.is_set(settings), "downloaded": one.is_here(settings)}


def _document(kind: str, one: "ClipEntry | YoloEntry", state: _State) -> dict[str, Any]:
    return {"kind": kind, **asdict(one), **state}


def _clip_row(one: "ClipEntry", state: _State) -> tuple[Any, ...]:
    lacks = {f"lacks {one.needs}": bool(one.needs) and find_spec(one.needs) is None}
    figures = (one.coco, one.flickr, one.languages)
    return (
        *(one.model, one.pretrained),
        *(None if figure is None else f"{figure:.3f}" for figure in figures),
        *(one.picture, one.dim, f"{one.disk_gb:.2f}", one.licence, _words(state | lacks)),
    )


def _yolo_row(one: "YoloEntry", state: _State) -> tuple[Any, ...]:
    return one.weights, one.map, one.picture, one.parameters, _words(state)


def _words(state: _State) -> str:
    return ", ".join(word for word, holds in state.items() if holds)


def _unlisted(settings: "ModelSettings", clip: list[Any], yolo: list[Any]) -> list[str]:
    """A line for each model that is set and in neither table."""
    if settings.models == "demo":
        return ["Set here: IMAGE_SEARCH_MODELS=demo, the small models that ship with the project."]
    names = {
        f"{settings.clip_model}, {settings.clip_pretrained}": clip,
        settings.yolo_weights: yolo,
    }
    return [
        f"Set here: {name}."
        for name, entries in names.items()
        if not any(state["set"] for _, state in entries)
    ]
