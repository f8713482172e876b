"""The last report of upkeep, in a file beside the table: any process may have made it."""

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from store.schemas import UpkeepReport
from store.table.disk.location import Location


def write_report(uri: str, table: str, report: UpkeepReport) -> None:
    """Keeps a report; on an object store only the process that made it has it.

    Raises:
        OSError: the folder cannot be written.
    """
    if (file := _file(uri, table)) is None:
        return
    document = {**asdict(report), "finished_at": report.finished_at.isoformat()}
    new = file.with_suffix(f".{os.getpid()}.new")
    try:
        new.write_text(json.dumps(document))
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)  # empty, on a full disk
        raise


def read_report(uri: str, table: str) -> UpkeepReport | None:
    """The report that was kept last, None where there is none."""
    if (file := _file(uri, table)) is None:
        return None
    try:
        document = json.loads(file.read_text())
        finished_at = datetime.fromisoformat(document.pop("finished_at"))
        return UpkeepReport(finished_at=finished_at, **document)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none yet, or another release's


def _file(uri: str, table: str) -> Path | None:
    folder = Location(uri).folder
    return None if folder is None else folder / f"{table}.upkeep.json"
