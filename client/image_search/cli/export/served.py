"""Export of the index of a running service, over its API."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from image_search import Client
from image_search.cli.output import made_whole
from image_search.cli.progress import WorkBar
from image_search.cli.tables.exported import ExportFile, Head


def export_service(console: Console, path: Path, client: Client) -> int:
    """Write every image of the index of a service, as it is now; returns how many.

    Raises:
        ImageSearchError: the service cannot be reached, or refuses.
        OSError: the file cannot be written.
    """
    with WorkBar(console, "exporting") as bar, ThreadPoolExecutor(1) as ahead:
        page = client.export_page()
        bar.begin(page.total, 0)
        head = Head(page.model, page.dim, page.columns, page.detector)
        with made_whole(path) as file, ExportFile(file, head) as export:
            while True:
                # While this one is written, the next is on its way.
                coming = page.next and ahead.submit(client.export_page, page.next)
                for row in page.rows:
                    export.add(row)
                bar.advance(len(page.rows))
                if not coming:
                    return page.total
                page = coming.result()
