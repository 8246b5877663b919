"""Crash points: each name stands somewhere in the code, and in docs/testing.md."""

from __future__ import annotations

import re

from missions.engine import crashpoints
from tests.architecture.test_documents import documented, sources


def test_every_crash_point_is_in_the_code_and_every_one_in_the_code_is_named() -> None:
    reached = {name for path in sources() for name in re.findall(r"crashpoints\.reach\(\"(\w+)\"\)", path.read_text())}
    assert reached == set(crashpoints.ALL)


def test_every_crash_point_is_documented() -> None:
    assert documented("testing.md") >= set(crashpoints.ALL)
