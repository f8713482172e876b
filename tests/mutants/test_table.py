"""Each fault stands in the code as it is now, and there are tests to notice it."""

import pytest

from demo.process import PROJECT
from tests.mutants.table import MUTANTS, Mutant, Tree


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_a_fault_can_be_made_and_noticed(mutant: Mutant) -> None:
    """Where the code was written anew, give the fault a further variant."""
    tree = Tree(PROJECT)
    assert tree.place(mutant) is not None
    assert tree.tests(mutant)


def test_there_are_enough() -> None:
    assert len({one.name for one in MUTANTS}) == len(MUTANTS) >= 60
