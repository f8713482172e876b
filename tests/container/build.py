"""Base image from Debian's packages, where no registry has it; both images; their layers."""

import json
import shutil
import subprocess
import time
from pathlib import Path

from tests.container.documented import line, shell
from tests.container.engine import check, docker, has_image, install, run, say

BASE = "python:3.11-slim-bookworm"
IMAGES = {"torch": "image-search:0.1.0", "cpu": "image-search-cpu:0.1.0"}
MOST_GB = {"torch": 6.3, "cpu": 1.6}
_LINES = {"torch": "-t image-search:", "cpu": "-t image-search-cpu:"}
_AUTHORITIES = Path("/usr/local/share/ca-certificates")


def base_image() -> None:
    """Have the base image: from a registry, or made of Debian's packages."""
    if has_image(BASE):
        return
    if "Status:" in docker("pull", BASE, fails=True):
        return
    if not shutil.which("mmdebstrap"):
        install("mmdebstrap")
    say(f"no registry has {BASE}: it is made of Debian's packages")
    # Where TLS is inspected, the base has the authority (docs/containers.md).
    trust = [
        f'mkdir -p "$1{_AUTHORITIES}"',
        f'cp {_AUTHORITIES}/*.crt "$1{_AUTHORITIES}/" 2>/dev/null || true',
        'chroot "$1" update-ca-certificates',
        'printf "[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\n" > "$1/etc/pip.conf"',
        'rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale"',
    ]
    hooks = [f"--customize-hook={command}" for command in trust]
    packages = "--include=ca-certificates,python3,python3-venv"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, *hooks, "bookworm", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        subprocess.run(["docker", "import", "-", BASE], stdin=made.stdout, check=True)


def build(kind: str) -> str:
    """Build an image by the documented line; its name."""
    started = time.monotonic()
    shell(line("Build", _LINES[kind]))
    say(f"  built in {time.monotonic() - started:.0f} s")
    name = IMAGES[kind]
    size = _bytes_of(name)
    for layer, told in _layers(name):
        say(f"  layer {told:>8} MB  {layer}")
    check(size <= MOST_GB[kind] * 1e9, f"{name} has {size / 1e9:.2f} GB, {MOST_GB[kind]} at most")
    return name


def _bytes_of(name: str) -> int:
    return int(json.loads(docker("image", "inspect", name))[0]["Size"])


def _layers(name: str) -> list[tuple[str, str]]:
    """What makes each layer of an image that weighs anything, and its MB, from the lowest."""
    columns = "{{.Size}}\t{{.CreatedBy}}"
    history = docker("history", "--no-trunc", "--human=false", "--format", columns, name)
    parts = [(one.partition("\t")[0], one.partition("\t")[2]) for one in history.splitlines()[::-1]]
    return [
        (_named(made)[:80], f"{int(size) / 1e6:.1f}") for size, made in parts if int(size) > 100_000
    ]


def _named(made: str) -> str:
    for part, name in (("/opt/venv", "packages"), (" /app", "code and weights")):
        if part in made and "COPY" in made:
            return name
    return made or "base"


def inside(name: str) -> None:
    """Nothing of what builds is in an image, and nobody but root may write its code."""
    programs = "for p in gcc cc make git gpg pip pip3 curl; do command -v $p; done; true"
    found = run("docker", "run", "--rm", "--entrypoint", "sh", name, "-c", programs).split()
    check(not found, f"no compiler, no git, no pip, no curl{found or ''}")
    unsafe = "/app /opt/venv /usr/local -not -type l ( -not -user root -o -perm -o+w )"
    listed = docker("run", "--rm", "--user", "0", "--entrypoint", "find", name, *unsafe.split())
    check(not listed, f"code and packages are root's, and nobody else may write them{listed}")
    libraries = docker("run", "--rm", "--entrypoint", "dpkg-query", name, "-W", "-f", "${Package} ")
    check("mesa" not in libraries and "libgl1" not in libraries, "no Mesa, no libGL")
    missing = "import importlib.util as u; print([n for n in ('triton', 'pip') if u.find_spec(n)])"
    check(docker("run", "--rm", name, "python3", "-c", missing) == "[]", "no triton")
    user = json.loads(docker("image", "inspect", name))[0]["Config"]["User"]
    check(user == "1034:1034", f"its user is a number, {user}")


def documented_lists(folder: Path) -> None:
    """The bill of materials and the audit, by the documented lines."""
    shell(line("Build", "cyclonedx").replace("image-search.cdx.json", str(folder / "bom.json")))
    materials = json.loads((folder / "bom.json").read_text())
    check(materials["bomFormat"] == "CycloneDX", f"{len(materials['components'])} components")
    said = shell(f"{line('Build', 'pip-audit')} || true").splitlines()
    say("  " + "\n  ".join(_audited(said)))


def _audited(said: list[str]) -> list[str]:
    """What an audit found; its last line where it could not look a package up."""
    if "could not be audited" in said[-1]:
        return [f"NOT audited: {said[-1]}"]
    return said
