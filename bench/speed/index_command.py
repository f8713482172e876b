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
from bench.service.models import add_service_options, settings_of
from bench.service.running import Service, served

LEAST = 0.9
IN_FLIGHT = 32
_WARM_UP_S = 5.0


def indexed(service: Service, images: int) -> float:
    """Run the command on a CSV file of so many new pictures; those per second."""
    first, photos = next(service.numbers), service.photos
    with tempfile.TemporaryDirectory() as folder:
        path, lines = Path(folder) / "pictures.csv", ["url,shop,price"]
        for n in range(first, first + images):
            url = fresh_url(service.files.url, photos[n % len(photos)], n)
            lines.append(f"{url},shop {n % 10},{n % 100 + 0.5}")
        path.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "cli.main", "index", str(path), "--json"]
        command += ["--server", service.process.url, "--in-flight", str(IN_FLIGHT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the command ended with {done.returncode}: {done.stdout}{done.stderr}")
    return images / float(json.loads(done.stdout)["seconds"])


def add_options(parser: ArgumentParser) -> None:
    add_service_options(parser, rows=0, sides="640")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")


def run(given: Namespace, report: Report) -> list[Limit]:
    turns = []
    with served(settings_of(given, report), given.sides, given.rows) as service:
        service.load("add", IN_FLIGHT, _WARM_UP_S)
        for _ in range(given.rounds):
            bare = service.load("add", IN_FLIGHT, given.seconds).sent.whole_rate
            command = indexed(service, round(bare * given.seconds))
            turns.append((bare, command, ratio(command, bare)))
    report.table(["generator, images/s", "command, images/s", "ratio"], turns)
    middle = median([each for _, _, each in turns])
    return [Limit("command to generator, median", middle, least=LEAST)]
