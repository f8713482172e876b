"""The faults: one place each, in every room; those of a room are in the TOML file of its name.

A fault is a text that stands exactly once in its room, and what is put in its place. Where the code
has been written anew, a fault has several such texts: the first one that is found is taken, so that
the same table judges an older state of the project.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A fault, and the tests that should notice it.

    Attributes:
        name: what goes wrong.
        room: the folder or file with the code, or several with a plus between them; the tests are
            under the first one's name in `tests`.
        variants: the text, and what it becomes.
        tests: names of files, `name::test` for one of their tests, with a folder of `tests` before
            them where it is not the room's; those that are there are run.
    """

    name: str
    room: str
    variants: list[tuple[str, str]]
    tests: list[str]


MUTANTS = [
    Mutant(**fault)
    for table in sorted(Path(__file__).parent.glob("*.toml"))
    for fault in tomllib.loads(table.read_text())["fault"]
]
