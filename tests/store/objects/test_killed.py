"""Some kills of writers at the worst points; the command kills more of them."""

import subprocess
import sys

from tests.store.objects.killed_writer import POINTS


def test_images_and_their_objects_are_whole_after_kills() -> None:
    # In a process that has not opened any table: it forks.
    command = [sys.executable, "-m", "tests.store.objects.killed", "--seed", "7"]
    done = subprocess.run(
        [*command, "--kills", str(len(POINTS))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(f"killed {point}" in done.stdout for point in POINTS)
