"""A decoder process that enters no sandbox, to compare with; never a part of the service."""

import sys

from images.workers import child, sandbox


def not_entered() -> sandbox.Sandbox:
    return ""


if __name__ == "__main__":
    sandbox.enter = not_entered
    child.main(*sys.argv[1:])
