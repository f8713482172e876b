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


class Tree:
    """A project's files.

    Args:
        root: its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, mutant: Mutant) -> tuple[Path, str] | None:
        """The file with a fault's text, and what is to stand in it."""
        for before, after in mutant.variants:
            found = [
                (path, text)
                for path in self._code(mutant.room)
                if before in (text := path.read_text())
            ]
            if len(found) == 1 and found[0][1].count(before) == 1:
                return found[0][0], found[0][1].replace(before, after)
        return None

    def _code(self, rooms: str) -> list[Path]:
        own = [self.root / room for room in rooms.split("+")]
        return [path for one in own for path in (sorted(one.rglob("*.py")) or [one])]

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests of a fault that are there."""
        chosen = []
        for name in mutant.tests:
            folder, _, rest = name.rpartition("/")
            file, _, test = rest.partition("::")
            room = self.root / "tests" / (folder or mutant.room.partition("+")[0])
            for path in sorted(room.rglob(file)):
                is_there = test and f"def {test}(" in path.read_text()
                chosen.append(f"{path.relative_to(self.root)}{f'::{test}' if is_there else ''}")
        return chosen
