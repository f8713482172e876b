"""What the project's packages put into a person's environment, and what the client does alone."""

import subprocess
import sys
import sysconfig
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from api.requests import source
from image_search import uploads
from image_search.cli.engine import EngineCommand, engine_commands

PROJECT = Path(__file__).resolve().parent.parent
ALONE = (
    "import sys; sys.path += [{client!r}, {packages!r}]; sys.argv[0] = 'image-search';"
    "from image_search.cli.main import main; main()"
)
"""Without `site`, nothing says where the service's modules are."""


def _built(project: Path, to: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["uv", "build", "--wheel", "--out-dir", str(to), str(project)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _alone(*words: str) -> subprocess.CompletedProcess[str]:
    code = ALONE.format(client=str(PROJECT / "client"), packages=sysconfig.get_path("purelib"))
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_service_has_no_wheel(tmp_path: Path) -> None:
    done = _built(PROJECT, tmp_path)
    assert done.returncode != 0
    assert "image-search-engine has no wheel: run it from its files" in done.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_the_clients_wheel_has_one_module_and_needs_little(tmp_path: Path) -> None:
    assert (done := _built(PROJECT / "client", tmp_path)).returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith("/METADATA")]
        head = BytesParser().parsebytes(archive.read(metadata))
    tracked = {
        str(path.relative_to(PROJECT / "client"))
        for path in (PROJECT / "client" / "image_search").rglob("*")
        if path.suffix in {".py", ".typed"}
    }
    assert {name for name in names if ".dist-info/" not in name} == tracked
    needs = [line for line in head.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(line.rstrip("<>=,.0123456789") for line in needs) == [
        "anyio",
        "click",
        "httpx",
        "rich",
    ]


@pytest.mark.parametrize("command", engine_commands(), ids=lambda each: str(each.name))
def test_a_command_of_the_service_is_what_the_list_says(command: EngineCommand) -> None:
    real = command.load()
    assert real.name == command.name
    assert command.short_help is not None
    assert str(real.help).startswith(command.short_help.removesuffix("."))


@pytest.mark.parametrize("words", [("check",), ("demo", "--help"), ("export", "all.parquet")])
def test_the_client_alone_says_what_needs_the_service(words: tuple[str, ...]) -> None:
    done = _alone(*words)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: image-search {words[0]}")
    assert " needs image-search-engine, the service itself, which is not installed here" in line


def test_the_client_alone_lists_every_command() -> None:
    done = _alone("--help")
    assert done.returncode == 0, done.stderr
    assert "  reembed         Move the index to another model." in done.stdout.splitlines()


def test_client_and_service_name_uploads_alike() -> None:
    assert uploads.upload_url(b"picture") == source.upload_url(b"picture")
    assert uploads.is_upload_url(source.upload_url(b""))
    assert not uploads.is_upload_url("http://127.0.0.1/upload:")
