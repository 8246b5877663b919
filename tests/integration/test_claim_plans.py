"""Claims and looks ahead walk the index of due missions, however many are due: as planned for the workers' sessions."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from missions.engine.lane import SETUP
from missions.engine.statements import statement

pytestmark = pytest.mark.django_db
TYPES, VERSIONS = "array['a', 'b']", "array[1, 1]"
ARGUMENTS = {
    "claim": f"1, 64, {TYPES}, {VERSIONS}, false", "places_claim": f"1, 64, {TYPES}, {VERSIONS}, 5, null, false",
    "next_due": f"{TYPES}, {VERSIONS}, false", "heartbeat": f"1, {TYPES}, 1000, {VERSIONS}, false",
}  # fmt: skip


def planned(name: str) -> str:
    """The generic plan of a statement, as a worker's session makes it."""
    with connection.cursor() as cursor:
        for setting in SETUP:
            cursor.execute(setting.replace("set ", "set local ", 1))
        cursor.execute(f"prepare planned as {statement(name)}")
        cursor.execute(f"explain execute planned ({ARGUMENTS[name]})")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("deallocate planned")
    return plan


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_the_walk_over_the_lanes_is_planned_as_index_scans(name: str) -> None:
    plan = planned(name)
    assert "Function Scan on missions_lanes" not in plan  # the planner sees through it
    assert "Recursive Union" in plan and len(re.findall("Scan using mission_due", plan)) >= 3
    assert "Seq Scan on missions_mission" not in plan
