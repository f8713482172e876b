"""What a container may not do, and its limits of memory and processors."""

import json
import time
from pathlib import Path

from tests.container import service
from tests.container.documented import line, shell
from tests.container.engine import PROJECT, check, say

_NO_RIGHTS = "0000000000000000"
_CORES = "from runners.device.cores import available_cores; print(available_cores())"
PROOF = f"--volume {PROJECT / 'tests'}:/proof/tests:ro"
"""Of a container in which `tests.container.taken_over` is to run."""


def confined() -> None:
    """No capabilities, no way to more of them, nothing to be written but the volume and /tmp."""
    status = dict(
        one.split(":\t", 1)
        for one in service.inside("cat", "/proc/1/status").splitlines()
        if ":\t" in one
    )
    rights = {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    check(rights == {_NO_RIGHTS}, "no capabilities, nor any that could be had")
    check(status["NoNewPrivs"] == "1" and "1034" in status["Uid"], "uid 1034, no new privileges")
    writes = "for f in /app/service.py /app/x /opt/venv/x /usr/x /etc/x /keys/x; do"
    writes += " (: >> $f) 2>/dev/null && echo $f; done; true"
    check(not service.inside("sh", "-c", writes), "code, packages, system and keys are not written")
    began = time.monotonic()
    while service.state()["Health"]["Status"] != "healthy" and time.monotonic() < began + 60:  # type: ignore[index]
        time.sleep(0.2)
    check(service.state()["Health"]["Status"] == "healthy", "the health check says healthy")  # type: ignore[index]


def taken_over() -> None:
    """A decoder that was taken over reaches nothing."""
    python_path = "PYTHONPATH=/proof:/app:/app/client"
    command = ("python3", "-m", "tests.container.taken_over")
    said = service.inside(*command, options=("--env", python_path))
    outcomes = json.loads(said.splitlines()[-1])
    refused = {"EPERM", "ENOSYS"}
    worked = {name: was for name, was in outcomes["keys"].items() if was not in refused}
    check(not worked, f"a decoder taken over cannot {', '.join(outcomes['keys'])} of the keys")
    worked = {name: was for name, was in outcomes["all"].items() if was not in refused}
    check(not worked, f"none of {len(outcomes['all'])} attempts worked{worked or ''}")
    for name in ("write code", "open a TCP socket", "connect to a model", "start a program"):
        say(f"    {name}: {outcomes['all'][name]}")
    without = outcomes["without"]
    check(set(without.values()) == {"done"}, f"without its sandbox it could {', '.join(without)}")


def limits(image: str, kind: str, folder: Path) -> None:
    """A limit of memory that is too small is one line; one of processors sets the threads."""
    keys = ["--volume", f"{folder}/keys:/keys:ro", "--env", "IMAGE_SEARCH_API_KEYS_FILE=/keys/keys"]
    said = service.output("--memory", "512m", *keys, *service.OFFLINE[kind].split(), image)
    lines = [one for one in said.splitlines() if one]
    check("512 MiB of memory" in said and len(lines) == 2, " | ".join(lines))
    said = service.output("--cpus", "1", image, "python3", "-c", _CORES)
    check(said.startswith("1\n"), "--cpus 1 counts one core")
    said = service.output("--memory", "6g", image, "python3", "-c", _CORES)
    say(f"  without a limit of processors: {said.splitlines()[0]} cores")


def refusals(image: str, kind: str, folder: Path) -> None:
    """What cannot work ends with one line that says so."""
    foreign = folder / "foreign"
    foreign.mkdir(mode=0o700, exist_ok=True)
    keys = ["--volume", f"{folder}/keys:/keys:ro", "--env", "IMAGE_SEARCH_API_KEYS_FILE=/keys/keys"]
    demo = [*keys, *service.OFFLINE[kind].split()]
    said = service.output("--volume", f"{foreign}:/data", *demo, image)
    check(said.count("\n") <= 2 and "/data" in said, said.replace("\n", " | "))
    weights = folder / "weights"
    weights.mkdir(mode=0o755, exist_ok=True)
    (weights / "clip.safetensors").touch(mode=0o600)
    named = "IMAGE_SEARCH_CLIP_PRETRAINED=/models/clip.safetensors"
    said = service.output("--volume", f"{weights}:/models:ro", "--env", named, *keys, image)
    check("may not be read" in said and said.count("\n") == 1, said.replace("\n", " | "))
    said = service.output(*keys, image)
    check("image-search cannot start" in said, said.splitlines()[-2][:200])


def command_inside() -> None:
    """`image-search` is in it, by the documented line."""
    said = shell(line("Run", "docker exec"))
    check(
        "Usage:" in said and "reembed" in said, "`image-search` is in it, with what works offline"
    )


def checked_offline(image: str) -> None:
    """The table of a container that is stopped is checked, by the documented line."""
    said = shell(line("Run", "--volumes-from").replace("image-search:0.1.0", image))
    say("  " + said.replace("\n", "\n  ")[-600:])
