"""Commands of a release.

python -m release check            # do version, changelog, upgrade page, chart and locks agree?
python -m release check --final    # may it be tagged: the changelog has its day, too
uv run --group docs python -m release site dist/site   # docs/ as a site, strictly
"""

import argparse
import sys
from pathlib import Path

from release.versions import disagreements

_PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Do what the command line says; exits with what is wrong, if anything is."""
    parser = argparse.ArgumentParser(prog="python -m release", description="Commands of a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="compare all that tells the version")
    check.add_argument("--final", action="store_true", help="the changelog must have its day")
    site = commands.add_parser("site", help="build docs/ as a site and check its links")
    site.add_argument("folder", type=Path, help="for the site")
    given = parser.parse_args()
    if given.command == "site":
        from release.site import build  # noqa: PLC0415 - needs the group `docs`

        wrong = build(_PROJECT, given.folder)
    else:
        wrong = disagreements(_PROJECT, final=given.final)
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
