"""`pytest -p tests.two_lanes -n 2`: two tests at a time, and at most one of them is an acceptance test.

Those have processes that must answer each other within two seconds. One process of the run takes all of them, the
other takes the other files one by one; the tests of a file stay together, since they share what is costly to start.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class Lanes(LoadScopeScheduling):
    """Hands out files, and the acceptance tests as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        return "acceptance" if nodeid.startswith("tests/acceptance/") else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """In the order of collection: the acceptance tests take longest and come first."""
    config.option.loadscopereorder = False
    return Lanes(config, log)
