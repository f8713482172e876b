"""Which tests one process runs after each other, where several processes run them.

A file is a group of its own. Files whose tests share a running service are one group, so that the
service starts once: it takes ten seconds of two cores. pytest-xdist's own groups (`--dist
loadgroup`) do nothing under pytest 9.2 (https://github.com/pytest-dev/pytest-xdist/issues/1386).
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "tests/cli/index/": "commands",
    "tests/cli/test_query.py": "commands",
    "tests/serve/contract/": "service",
    "tests/serve/docs/test_audit.py": "audit",  # which has a service of its own
    "tests/serve/docs/": "service",
    "tests/serve/metadata/": "service",
    "tests/serve/objects/": "service",
    "tests/serve/lifecycle/test_other_users.py": "service",
    "tests/serve/lifecycle/test_supervisor.py": "service",
    "tests/serve/load/": "service",
    "tests/guard/test_hosts.py": "service",
    "tests/guard/test_": "guard",
    "tests/page/": "page",
    "tests/serve/two_workers/": "two workers",
    "tests/store/remote/": "object store",
}
"""Groups of several files, by how their tests' names begin."""

LONGEST_FIRST = (
    "service",
    "guard",
    "page",
    "commands",
    "audit",
    "tests/serve/lifecycle/test_stops.py",
    "tests/cli/outages/test_outages.py",
    "tests/store/differential/test_differential.py",
    "tests/serve/lifecycle/test_start.py",
    "two workers",
    "tests/serve/test_models_apart.py",
    "object store",
    "tests/store/objects/test_killed.py",
    "tests/serve/lifecycle/test_crash.py",
    "tests/cli/offline/test_reembed.py",
    "tests/cli/export/test_backup.py",
    "tests/serve/lifecycle/test_locked.py",
    "tests/api/serving/test_preflight.py",
    "tests/serve/lifecycle/test_faults.py",
    "tests/cli/test_main.py",
)
"""The others take less than ten seconds each."""


def group_of(test: str) -> str:
    """The group of a test, by its node id."""
    shared = (group for path, group in GROUPS.items() if test.startswith(path))
    return next(shared, test.partition("::")[0])


def rank_of(test: str) -> int:
    """Where the group of a test stands in the order in which groups begin."""
    group = group_of(test)
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Gives each process a whole group at a time, in the order of the tests."""

    def __init__(self, config: Any, log: Any) -> None:
        config.option.loadscopereorder = False  # else by their numbers of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
