"""The commands to a running service: search, detect, get, delete, update and so on."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from image_search.cli.output import opened_anew
from image_search.cli.terminal import (
    UNAVAILABLE,
    WANTS_KEY,
    json_line,
    json_object,
    shown,
    to_service,
)
from image_search.results import ColumnType

if TYPE_CHECKING:
    from image_search import Client, Facet, Hit

_GRIDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_REGION_EDGES = 4
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
as_json_lines = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
_filter = click.option(
    "--filter",
    "conditions",
    metavar="JSON",
    callback=json_object,
    help="Conditions on the metadata.",
)


def _edges(_: Any, __: Any, given: str | None) -> tuple[float, ...] | None:
    """Reads a region."""
    if given is None:
        return None
    try:
        edges = tuple(float(each) for each in given.split(","))
    except ValueError:
        edges = ()
    if len(edges) != _REGION_EDGES:
        raise click.BadParameter("give left, top, right and bottom in pixels: 40,20,180,150")
    return edges


class _UnavailableError(click.ClickException):
    exit_code = UNAVAILABLE


@click.command()
@click.argument("text", required=False)
@to_service
@click.option("--url", help="Picture to search by.")
@click.option("--image", type=_FILE, help="File of a picture to search by.")
@click.option("--id", "id_", help="Indexed image to search by.")
@_filter
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Most results."
)
@click.option(
    "--sort", multiple=True, metavar="KEY", help="Order: the key, or -KEY for the greatest first."
)
@click.option("--group-by", metavar="KEY", help="Of each value of the key the best result only.")
@click.option("--distinct", is_flag=True, help="Of the same pixels the best result only.")
@click.option(
    "--in",
    "search_in",
    type=click.Choice(["images", "objects", "both"]),
    help="What is searched: images as a whole, the objects in them, or both."
    "  [objects with --region, --object or --class, else images]",
)
@click.option(
    "--region",
    metavar="X1,Y1,X2,Y2",
    callback=_edges,
    help="Part of the picture to search by, in pixels.",
)
@click.option(
    "--object",
    "of",
    metavar="N|CLASS",
    help="Object to search by: of an indexed image its number, or the picture's surest of a class.",
)
@click.option("--class", "classes", multiple=True, help="Only objects of this class may match.")
@click.option("--facet", "facets", multiple=True, metavar="KEY", help="Count the key's values.")
@click.option(
    "--grid",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File for one picture of all results: .jpg or .png.",
)
@as_json_lines
def search(  # noqa: PLR0913 - what the command takes
    *,
    text: str | None,
    server: str,
    api_key: str | None,
    url: str | None,
    image: Path | None,
    id_: str | None,
    conditions: dict[str, Any] | None,
    limit: int,
    sort: tuple[str, ...],
    group_by: str | None,
    distinct: bool,
    search_in: Literal["images", "objects", "both"] | None,
    region: tuple[float, ...] | None,
    of: str | None,
    classes: tuple[str, ...],
    facets: tuple[str, ...],
    grid: Path | None,
    as_json: bool,
) -> None:
    """Find images by a TEXT, a picture, an indexed image or a filter."""
    if not (text or url or image or id_ or conditions):
        raise click.UsageError(
            "nothing to search for: give a TEXT, --url, --image, --id or --filter"
        )
    if grid is not None and grid.suffix.lower() not in _GRIDS:
        raise click.BadParameter("the file must be a .jpg or a .png", param_hint="--grid")
    data = None if image is None else image.read_bytes()
    if search_in is None and (region or of or classes):
        search_in = "objects"
    with client_of(server, api_key) as client:
        found = client.find(
            text, url=url, image=data, id=id_, filter=conditions, limit=limit, sort=sort or None,
            facets=facets, group_by=group_by, distinct="pixels" if distinct else None,
            search=search_in, region=region, object=int(of) if of and of.isdecimal() else of,
            objects={"class_name": {"$in": list(classes)}} if classes else None,
        )  # fmt: skip
        hits = found.results
        if grid is not None:
            _write_grid(client, hits, grid)
    _print_hits(hits, as_json, grouped=group_by is not None, in_objects=search_in is not None)
    for facet in found.facets:
        _print_facet(facet, as_json)


def _print_hits(hits: "Sequence[Hit]", as_json: bool, *, grouped: bool, in_objects: bool) -> None:
    head, documents = ["score", "id", "url", "metadata"], [_document(hit) for hit in hits]
    rows: list[tuple[Any, ...]] = [
        ("" if hit.score is None else f"{hit.score:.3f}", hit.id, hit.url, hit.metadata)
        for hit in hits
    ]
    if grouped:
        head = [*head, "of its group"]
        rows = [(*row, str(hit.group_size)) for row, hit in zip(rows, hits, strict=True)]
    if in_objects:
        head = [*head, "object"]
        rows = [(*row, _object_of(hit)) for row, hit in zip(rows, hits, strict=True)]
    print_rows(head, rows, documents, as_json)


def _document(hit: "Hit") -> dict[str, Any]:
    """A hit, without what a search of this kind does not tell."""
    told = asdict(hit)
    return {
        name: one
        for name, one in told.items()
        if one or name not in {"group_size", "object", "objects"}
    }


def _object_of(hit: "Hit") -> str:
    found = hit.objects or ((hit.object,) if hit.object else ())
    return "; ".join(
        f"{each.n}: {each.class_name} {each.confidence:.2f}"
        f" at {','.join(f'{edge:.0f}' for edge in each.xyxy)}"
        for each in found
    )


def _print_facet(facet: "Facet", as_json: bool) -> None:
    if as_json:
        _print_json([{"facet": asdict(facet)}])
        return
    values = [(shown(str(one.value)), str(one.count)) for one in facet.values]
    if facet.min is not None:
        values = [(f"{facet.min} to {facet.max}", str(facet.count))]
    print_rows([facet.key, "images"], values, [], as_json)


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


@click.command()
@click.argument("id_", metavar="ID")
@to_service
def get(id_: str, server: str, api_key: str | None) -> None:
    """Print an image of the index, as JSON."""
    with client_of(server, api_key) as client:
        image = client.get(id_)
    _print_json([asdict(image)])


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@to_service
@click.option("--url", "urls", multiple=True, help="Picture's URL: all its images. Repeatable.")
@_filter
@click.option("--all", "everything", is_flag=True, help="Delete every image of the index.")
@click.option("--yes", is_flag=True, help="Delete without asking first.")
def delete(  # noqa: PLR0913 - what the command takes
    *,
    ids: tuple[str, ...],
    server: str,
    api_key: str | None,
    urls: tuple[str, ...],
    conditions: dict[str, Any] | None,
    everything: bool,
    yes: bool,
) -> None:
    """Delete images by their IDs or URLs, all that match a filter, or all."""
    if bool(ids) + bool(urls) + bool(conditions) + everything != 1:
        raise click.UsageError("give one of IDs, --url, a --filter with conditions and --all")
    with client_of(server, api_key) as client:
        if not (ids or urls or yes):
            what = f"all {client.status().rows:,} images" if everything else "every match"
            click.confirm(f"Delete {what} of the index at {server}?", abort=True, err=True)
        if ids:
            parts = [ids[at : at + 1000] for at in range(0, len(ids), 1000)]
            deleted = sum(client.delete_many(part) for part in parts)
        elif urls:
            deleted = client.delete_many(urls=urls)
        else:
            deleted = client.delete_many(filter=conditions, all=everything)
    click.echo(f"{deleted:,} deleted.")


@click.command()
@click.argument("changes", metavar="JSON", callback=json_object)
@to_service
@_filter
@click.option("--all", "everything", is_flag=True, help="Change every image of the index.")
@click.option("--yes", is_flag=True, help="Change without asking first.")
def update(  # noqa: PLR0913 - what the command takes
    *,
    changes: dict[str, Any],
    server: str,
    api_key: str | None,
    conditions: dict[str, Any] | None,
    everything: bool,
    yes: bool,
) -> None:
    """Change the metadata of all images that match a filter, or of all.

    The keys of the object JSON are set, and those that are null are removed.
    """
    if bool(conditions) + everything != 1:
        raise click.UsageError("give either a --filter with conditions or --all")
    if not yes:
        what = "every image" if everything else "every match"
        click.confirm(f"Change {what} of the index at {server}?", abort=True, err=True)
    with client_of(server, api_key) as client:
        changed = client.update_many(changes, filter=conditions, all=everything)
    click.echo(f"{changed:,} changed.")


@click.command("declare-column")
@click.argument("key")
@click.argument("type", type=click.Choice(get_args(ColumnType)))
@to_service
def declare_column(key: str, type: ColumnType, server: str, api_key: str | None) -> None:
    """Give a metadata KEY a TYPE before its first value, or a wider one."""
    with client_of(server, api_key) as client:
        created = client.declare_column(key, type)
    click.echo(f"{shown(key)} {'is now' if created else 'was already'} a key of type {type}.")


@click.command("drop-column")
@click.argument("key")
@to_service
@click.option("--yes", is_flag=True, help="Do not ask first.")
def drop_column(key: str, server: str, api_key: str | None, yes: bool) -> None:
    """Take a metadata KEY and its values away from all images, and free its name."""
    if not yes:
        click.confirm(f"Take {shown(key)} away from every image?", abort=True, err=True)
    with client_of(server, api_key) as client:
        count = client.drop_column(key)
    click.echo(f"{count:,} images had it.")


@click.command()
@to_service
@as_json_lines
def status(server: str, api_key: str | None, as_json: bool) -> None:
    """Print the state of the index."""
    with client_of(server, api_key) as client:
        state = asdict(client.status())
    if state["objects"] is None:
        del state["objects"]
    print_rows(["what", "is"], list(state.items()), [state], as_json)


def _write_grid(client: "Client", hits: "Sequence[Hit]", path: Path) -> None:
    from image_search.cli.query.grid import write_grid  # noqa: PLC0415 - so that --help is fast

    if hits:
        write_grid(client, hits, path, _GRIDS[path.suffix.lower()])
    else:
        click.echo("Nothing was found, so no grid was written.", err=True)


@contextmanager
def client_of(server: str, api_key: str | None) -> "Iterator[Client]":
    """A client whose errors end the command: 1 where it was refused, 3 where nothing answers."""
    from image_search import (  # noqa: PLC0415
        AccessError,
        Client,
        ImageSearchError,
        RefusedError,
        UnauthorizedError,
    )

    try:
        with Client(server, api_key=api_key) as client:
            yield client
    except ImageSearchError as error:
        refused = isinstance(error, RefusedError) and not isinstance(error, AccessError)
        kind = click.ClickException if refused else _UnavailableError
        way = f" {WANTS_KEY}" if isinstance(error, UnauthorizedError) else ""
        raise kind(shown(error.message) + way) from error
    except ValueError as error:
        raise click.UsageError(shown(error)) from error
    except OSError as error:
        raise click.ClickException(shown(error)) from error


def print_rows(
    head: Sequence[str], rows: Sequence[Sequence[Any]], documents: list[Any], as_json: bool
) -> None:
    """Print JSON lines, a table on a terminal, or else lines with tabs."""
    if as_json:
        _print_json(documents)
        return
    cells = [[shown(_text(value)) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_table(head, cells)
        return
    for row in cells:
        click.echo("\t".join(row))


def _print_table(head: Sequence[str], cells: list[list[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - so that --help is fast
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table()
    for name in head:
        table.add_column(name, overflow="fold")  # half an id or a name is of no use
    for row in cells:
        table.add_row(*map(Text, row))  # as Text, brackets are no markup
    Console(highlight=False).print(table)


def _print_json(documents: list[Any]) -> None:
    for document in documents:
        click.echo(json_line(document))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=datetime.isoformat)
