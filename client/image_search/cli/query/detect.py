"""`image-search detect`: the objects in a picture, as a table or drawn into it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from image_search.cli.output import opened_anew
from image_search.cli.query.connection import client_of
from image_search.cli.query.printing import as_json_lines, print_rows
from image_search.cli.terminal import shown, to_service


@click.command()
@click.argument("picture", metavar="URL|FILE")
@to_service
@click.option(
    "--confidence", type=click.FloatRange(0, 1), help="Leave out detections below this confidence."
)
@click.option(
    "--class", "classes", multiple=True, help="Only objects of this class. May be repeated."
)
@click.option(
    "--max", "most", type=click.IntRange(1, 300), help="Most objects, the surest ones.  [300]"
)
@click.option(
    "--tiles",
    type=click.IntRange(0, 9),
    help="Parts at most in which a large picture is looked at more closely, too.  [0]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File for the picture with the objects drawn into it: JPEG.",
)
@as_json_lines
def detect(  # noqa: PLR0913 - what the command takes
    *,
    picture: str,
    server: str,
    api_key: str | None,
    confidence: float | None,
    classes: tuple[str, ...],
    most: int | None,
    tiles: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Find the objects in the picture at a URL, or in a FILE."""
    is_url = "://" in picture
    if not is_url and not Path(picture).is_file():
        raise click.ClickException(f"{shown(picture)} is no file: give one, or an http(s) URL")
    asked: dict[str, Any] = {
        "confidence": confidence,
        "classes": classes,
        "max_detections": most,
        "tiles": tiles,
    }
    with client_of(server, api_key) as client:
        url, image = (picture, None) if is_url else (None, Path(picture).read_bytes())
        found = client.detect(url, image=image, **asked)
        if output is not None:
            drawn = client.annotate(url, image=image, **asked)
            with opened_anew(output) as file:
                file.write(drawn)
    rows = [
        (one.class_name, f"{one.confidence:.2f}", *(f"{edge:.0f}" for edge in one.xyxy))
        for one in found.detections
    ]
    head = ["object", "confidence", "left", "top", "right", "bottom"]
    print_rows(head, rows, [asdict(one) for one in found.detections], as_json)
    if found.more:
        click.echo(f"There are more objects than these {len(rows)}.", err=True)
