"""`image-search search`: finds images, and prints them, their groups, objects and facets."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from image_search.cli.query.connection import client_of, filter_option
from image_search.cli.query.printing import as_json_lines, print_json, print_rows
from image_search.cli.terminal import shown, to_service

if TYPE_CHECKING:
    from image_search import Client, Facet, Hit

_GRIDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_REGION_EDGES = 4
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


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


@click.command()
@click.argument("text", required=False)
@to_service
@click.option("--url", help="Picture to search by.")
@click.option("--image", type=_FILE, help="File of a picture to search by.")
@click.option("--id", "id_", help="Indexed image to search by.")
@filter_option
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
        print_json([{"facet": asdict(facet)}])
        return
    values = [(shown(str(one.value)), str(one.count)) for one in facet.values]
    if facet.min is not None:
        values = [(f"{facet.min} to {facet.max}", str(facet.count))]
    print_rows([facet.key, "images"], values, [], as_json)


def _write_grid(client: "Client", hits: "Sequence[Hit]", path: Path) -> None:
    from image_search.cli.query.grid import write_grid  # noqa: PLC0415 - so that --help is fast

    if hits:
        write_grid(client, hits, path, _GRIDS[path.suffix.lower()])
    else:
        click.echo("Nothing was found, so no grid was written.", err=True)
