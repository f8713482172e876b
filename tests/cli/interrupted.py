"""`image-search index` on a folder and a table, of each a part broken, while the service is killed.

    python -m tests.cli.interrupted --rows 1000

The service is ended by SIGKILL where files of the folder and rows of the table are on their way,
and started again on the same store; then the same command is called again. Every good image must be
in the index once, and every broken one in the file of failures once, with its reason.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from demo.process import PROJECT, ServiceProcess
from demo.scenes.scenes import draw_scene
from demo.scenes.seeds import SHOW_SEEDS
from demo.server import PictureServer, as_jpeg
from image_search import Client
from image_search.cli.index.adding import MAX_IN_FLIGHT
from image_search.uploads import upload_url
from tests.running import environment

BROKEN = ("http_status", "not_an_image", "host_unreachable", "url_invalid", "metadata_conflict")
NO_URL = "no_url"
_PICTURES = 24
_BEFORE_THE_TABLE = 8
"""Files of the folder that are left when the service is killed; more requests are in flight."""

Broken = dict[int | str, str]
"""The codes of what is broken, by the table's line or the file's path."""


def command(*words: str) -> list[str]:
    """The command line of `image-search`."""
    return [sys.executable, "-m", "image_search.cli.main", *words]


def _broken_url(code: str, number: int, files: str) -> str:
    return {
        "http_status": f"{files}missing.jpg?{number}",
        "not_an_image": f"{files}text?{number}",
        "host_unreachable": f"http://10.0.0.1/{number}.jpg",
        "url_invalid": f"http://[{number}",
        "metadata_conflict": f"{files}{number % _PICTURES}.jpg?{number}",
        NO_URL: "",
    }[code]


def write_folder(folder: Path, count: int) -> tuple[set[str], Broken]:
    """Pictures, every ninth of them none; the good ones' urls, and the code of each broken one."""
    good, broken = set[str](), Broken()
    pictures = [as_jpeg(draw_scene(seed).picture) for seed in SHOW_SEEDS[:_PICTURES]]
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        # What follows a picture's end makes it a file of its own.
        data = pictures[number % _PICTURES] + str(number).encode()
        if number % 9 == 0:
            data, code = (b"", "bad_file") if number % 2 else (b"no picture", "not_an_image")
            broken[str(path)] = code
        else:
            good.add(upload_url(data))
        path.write_bytes(data)
    return good, broken


def write_table(path: Path, rows: int, files: str) -> tuple[set[str], Broken]:
    """A CSV file; its good urls, and the code of each broken line."""
    good, broken = set[str](), Broken()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "number", "price", "size"])
        for number in range(rows):
            url, size = f"{files}{number % _PICTURES}.jpg?{number}", ""
            if number % 3 == 0:
                code = (*BROKEN, NO_URL)[number // 3 % 6]
                url, broken[number + 2] = _broken_url(code, number, files), code
                size = "large" if code == "metadata_conflict" else ""
            else:
                good.add(url)
            writer.writerow([url, number, number / 4, size])
    return good, broken


def run(rows: int, folder: Path) -> list[str]:
    """What went wrong; nothing where all is as it must be."""
    with PictureServer() as pictures:
        for number, seed in enumerate(SHOW_SEEDS[:_PICTURES]):
            pictures.add(f"{number}.jpg", draw_scene(seed).picture)
        pictures.add_file("text", b"no picture" * 100)
        settings = environment(folder, IMAGE_SEARCH_CONNECT_TIMEOUT_S="0.5")
        service = ServiceProcess(settings, folder / "log")
        service.start()
        try:
            return _run(rows, folder, pictures.url, service)
        finally:
            service.kill()


def _run(rows: int, folder: Path, files: str, service: ServiceProcess) -> list[str]:
    album, table, failures = folder / "album", folder / "table.csv", folder / "failures.jsonl"
    good, broken = write_folder(album, rows // 2)
    more, worse = write_table(table, rows, files)
    with Client(service.url) as client:
        client.add(f"{files}0.jpg?first", {"size": 3})  # makes the column one of integers
    words = ["index", str(album), str(table), "--server", service.url, "--failures", str(failures)]
    never_sent = list(broken.values()).count("bad_file")  # which leaves no trace in the state
    kill_at = rows // 2 - never_sent - _BEFORE_THE_TABLE
    codes = [_until_killed([*words, "--patience", "1"], service, kill_at, folder)]
    service.start()
    done = subprocess.run(command(*words), cwd=PROJECT, capture_output=True, text=True, check=False)
    codes.append(done.returncode)
    wrong = [] if codes == [3, 1] else [f"exit codes {codes} in place of [3, 1]: {done.stderr}"]
    refused = len(broken) - never_sent
    # Of what was done, the table's first rows may have been refused, too.
    if _done_before(done.stdout) < kill_at - refused - MAX_IN_FLIGHT:
        wrong.append(f"the second call began anew: {done.stdout}")
    return wrong + _index_faults(service, good | more) + _failure_faults(failures, broken | worse)


def _done_before(said: str) -> int:
    found = re.search(r"([\d,]+) were done before", said)
    return int(found[1].replace(",", "")) if found else 0


def _until_killed(words: list[str], service: ServiceProcess, done: int, folder: Path) -> int:
    """Call the command, kill the service when so many are done, and return the exit status."""
    state = folder / "album.index-state"
    with subprocess.Popen(command(*words), cwd=PROJECT, stderr=subprocess.PIPE) as running:
        while running.poll() is None:
            if state.exists() and state.read_bytes().count(b"\n") > done:
                service.kill()
                break
            time.sleep(0.02)
        running.communicate(timeout=120)
        return running.returncode


def _index_faults(service: ServiceProcess, good: set[str]) -> list[str]:
    found: Counter[str] = Counter()
    with Client(service.url) as client:
        while page := client.list(limit=1000, offset=found.total()).images:
            found.update(image.url for image in page)
    there = {url for url in found if not url.endswith("?first")}
    wrong = [f"{url} is there {times} times" for url, times in found.items() if times > 1]
    if there != good:
        wrong.append(f"{len(good - there)} are missing, {len(there - good)} are too much")
    return wrong


def _failure_faults(path: Path, broken: Broken) -> list[str]:
    listed = [json.loads(line) for line in path.read_text().splitlines()]
    codes = {failure.get("file") or failure["line"]: failure["code"] for failure in listed}
    wrong = [f"without a reason: {failure}" for failure in listed if not failure["reason"]]
    if len(listed) != len(codes):
        wrong.append("one is listed twice")
    if codes != broken:
        wrong.append(f"listed otherwise: {list(codes.items() ^ broken.items())[:10]}")
    return wrong


def main() -> None:
    """Run, and exit with 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        wrong = run(rows, Path(folder))
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
