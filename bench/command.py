"""How much of the service `image-search index` makes use of, against a bare load generator.

Both keep the same number of adds in flight, of pictures that the service has never seen, in turns::

    uv run python -m bench.command

Of both, the time counts from the first request that was sent to the last answer; the command tells
its own. Exits with 1 if it indexes less than 0.9 of what the generator does, or if an image failed.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.ending import end_on_signals
from bench.options import service_options
from bench.report import Report
from bench.served import Served, photographs, served
from bench.settings import service_settings, tell_settings
from bench.traffic import fresh_url
from bench.verdict import Limit, judged, percentile, ratio

LEAST = 0.9
IN_FLIGHT = 32
SECONDS = 20.0
WARM_UP_S = 5.0


@dataclass(frozen=True)
class Turn:
    """Images per second: the generator's, then the command's."""

    bare: float
    command: float

    @property
    def ratio(self) -> float:
        """The command's to the generator's."""
        return ratio(self.command, self.bare)


def table(service: Served, path: Path, images: int) -> None:
    """A CSV file of pictures that were never asked for, with metadata beside them."""
    first, photos = next(service.numbers), service.photos
    with path.open("w", encoding="ascii") as file:
        file.write("url,shop,price\n")
        for number in range(first, first + images):
            url = fresh_url(service.files.url, photos[number % len(photos)], number)
            file.write(f"{url},shop {number % 10},{number % 100 + 0.5}\n")


def indexed(service: Served, images: int) -> float:
    """Run the command on so many images: those per second, from first request to last answer.

    Raises:
        RuntimeError: it did not index them all.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.csv"
        table(service, path, images)
        command = [sys.executable, "-m", "cli.main", "index", str(path)]
        command += ["--server", service.service.url, "--in-flight", str(IN_FLIGHT), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the command ended with {done.returncode}: {done.stdout}{done.stderr}")
    return images / float(json.loads(done.stdout)["seconds"])


def turn(service: Served) -> Turn:
    """The generator for some seconds, then the command for about as long."""
    bare = service.measured(service.load("index", IN_FLIGHT, SECONDS))
    if bare.failed:
        raise RuntimeError(f"{bare.failed} adds of the generator failed")
    return Turn(bare.whole_rate, indexed(service, round(bare.whole_rate * SECONDS)))


def main() -> None:
    """Runs and exits with 1 if a limit was not kept."""
    given = service_options(__doc__, 0, 3, "turns of each", "640")
    end_on_signals()
    report = Report(f"image-search index: {given.models} models, {IN_FLIGHT} in flight")
    settings = service_settings(given.models, given.precision)
    tell_settings(report, settings)
    with (
        photographs(given.sides) as files,
        served(settings, files, given.rows) as service,
    ):
        service.measured(service.load("index", IN_FLIGHT, WARM_UP_S))
        turns = [turn(service) for _ in range(given.runs)]
    report.table(
        ["turn", "generator, images/s", "command, images/s", "ratio"],
        [(n, each.bare, each.command, each.ratio) for n, each in enumerate(turns, 1)],
    )
    middle = percentile([each.ratio for each in turns], 50)
    kept = judged(report, [Limit("command to generator, median", middle, least=LEAST)])
    if given.json:
        report.json(given.json)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
