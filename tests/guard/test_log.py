"""What the corpus leaves in the service's log and in the log of changes: nothing that it forged."""

import json
import re

from tests.guard.case import KEYS
from tests.guard.conftest import Ask
from tests.guard.stage.stage import Stage
from tests.guard.tables.forged import ADDRESS, FORGED


def test_no_client_writes_a_line_or_another_address(stage: Stage, asked: Ask) -> None:
    for table in ("forged", "keys", "scopes"):
        asked(table)
    log = stage.service.log.read_text(errors="replace")
    assert ADDRESS not in log
    assert not re.search(rf"^20.*\[cli\] {FORGED}", log, re.MULTILINE)
    assert not [line for line in log.splitlines() if not re.match(r"20\d\d-|    \| ", line)]


def test_refused_keys_have_few_lines_and_never_the_key(stage: Stage, asked: Ask) -> None:
    for table in ("keys", "scopes"):
        asked(table)
    log = stage.service.log.read_text(errors="replace")
    assert "refused (403): a request with the key 'read', from 127.0.0.1" in log
    assert "refused (401): a request without a valid key, from 127.0.0.1" in log
    assert log.count("refused (401)") + log.count("refused (403)") < 40
    assert not any(key in log for key in KEYS)


def test_the_log_of_changes_has_whole_lines_alone(stage: Stage, asked: Ask) -> None:
    asked("forged")
    folder = stage.service.log.parent / "index" / "changes"
    lines = [line for file in folder.iterdir() for line in file.read_bytes().splitlines()]
    told = [json.loads(line) for line in lines]
    added = [one for one in told if one.get("action") == "add"]
    assert added
    assert {one["address"] for one in told if one.get("key")} == {"127.0.0.1"}
    assert not any(FORGED.encode() in line for line in lines)
