"""How much of the service does `image-search index` make use of, against a bare load generator?

Both add the same number of pictures that the service has never seen, with 32 in flight, in turns.
Of both, the time counts from the first request to the last answer; the command tells its own. It
must index at least 0.9 of what the generator does::

    uv run python -m bench command              # about four minutes
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.load.traffic import fresh_url
from bench.report import Limit, Report, median, ratio
from bench.service.models import add_options as add_service_options
from bench.service.models import settings_of
from bench.service.running import Service, served

LEAST = 0.9
IN_FLIGHT = 32
_WARM_UP_S = 5.0


def write_table(service: Service, path: Path, images: int) -> None:
    """A CSV file of pictures that were never asked for, with metadata beside them."""
    first, photos = next(service.numbers), service.photos
    with path.open("w", encoding="ascii") as file:
        file.write("url,shop,price\n")
        for number in range(first, first + images):
            url = fresh_url(service.files.url, photos[number % len(photos)], number)
            file.write(f"{url},shop {number % 10},{number % 100 + 0.5}\n")


def indexed(service: Service, images: int) -> float:
    """Run the command on so many images; those per second.

    Raises:
        RuntimeError: it did not index them all.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.csv"
        write_table(service, path, images)
        command = [sys.executable, "-m", "cli.main", "index", str(path)]
        command += ["--server", service.process.url, "--in-flight", str(IN_FLIGHT), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the command ended with {done.returncode}: {done.stdout}{done.stderr}")
    return images / float(json.loads(done.stdout)["seconds"])


def turn(service: Service, seconds: float) -> tuple[float, float]:
    """Images per second of the generator, then of the command for about as long."""
    sent = service.load("add", IN_FLIGHT, seconds).sent
    if sent.failed:
        raise RuntimeError(f"{sent.failed} adds of the generator failed")
    return sent.whole_rate, indexed(service, round(sent.whole_rate * seconds))


def add_options(parser: ArgumentParser) -> None:
    """Turns, and the service."""
    add_service_options(parser, rows=0, sides="640")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")


def run(given: Namespace, report: Report) -> list[Limit]:
    """Measure and print."""
    with served(settings_of(given, report), given.sides, given.rows) as service:
        service.load("add", IN_FLIGHT, _WARM_UP_S)
        turns = [turn(service, given.seconds) for _ in range(given.rounds)]
    report.table(
        ["turn", "generator, images/s", "command, images/s", "ratio"],
        [(n, bare, command, ratio(command, bare)) for n, (bare, command) in enumerate(turns, 1)],
    )
    middle = median([ratio(command, bare) for bare, command in turns])
    return [Limit("command to generator, median", middle, least=LEAST)]
