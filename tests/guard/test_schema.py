"""The OpenAPI document holds: schemathesis finds no request whose answer it does not describe."""

import re

import pytest

from tests.guard.schema import check
from tests.guard.stage.stage import Stage

EXAMPLES = 6
# The same requests each time: what other ones find is for `python -m tests.guard.schema`, which
# takes another seed each time, and not for whoever changes something else.
SEED = 21016539515621738419060657410438638276


@pytest.mark.timeout(600)
def test_every_answer_is_as_documented(stage: Stage) -> None:
    done = check(stage, EXAMPLES, SEED)
    assert done.returncode == 0, done.stdout[-6000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None, done.stdout[-2000:]
    assert int(generated[1]) > 150
