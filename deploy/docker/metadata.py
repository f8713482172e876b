"""Says in the image which version of the client its folder holds, as an installation would."""

import sys
import tomllib
from pathlib import Path


def write_metadata(client: Path) -> None:
    """Write what `importlib.metadata` reads beside the package, by its pyproject.toml."""
    project = tomllib.loads((client / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    folder = client / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


if __name__ == "__main__":
    write_metadata(Path(sys.argv[1]))
