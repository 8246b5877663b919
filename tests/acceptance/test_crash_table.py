"""The crash table of docs/durability.md is what happens: each cell is a run in which somebody dies exactly there.

`STANDFAST_WRITE_TABLES=1` with the marked test of all rows writes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from missions.engine import crashpoints
from tests.deaths import cells
from tests.deaths.cells import ROWS, Row
from tests.deaths.forks import ROOT, Forks
from tests.deaths.sides import Sides
from tests.deaths.tabling import Table

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
DOCUMENT = ROOT / "docs" / "durability.md"
SHORT = ("budget_held", "after_intent", "call_sent", "after_outcome", "vote_and_wake", "after_undo")


@pytest.fixture
def table(process_environment: dict[str, str], tmp_path: Path) -> Iterator[Table]:
    """On this test's database, with two payment servers of its own."""
    sides = Sides(tmp_path)
    (tmp_path / "data").mkdir()
    forks = Forks({
        **process_environment, "DATA_DIR": str(tmp_path / "data"), "MISSIONS_HEARTBEAT_SECONDS": "0.5",
        "MISSIONS_MCP_SERVERS": str(sides.catalogue), "MISSIONS_MODULES": "tests.deaths.scenes",
    }, tmp_path / "nest.log")  # fmt: skip
    made = Table(tmp_path, forks, sides)
    made.prepare()
    yield made
    forks.close()
    sides.close()


def filled(table: Table, rows: tuple[Row, ...]) -> list[str]:
    """The lines of the table, from runs; no effect happened twice, and nothing is left over."""
    done = table.fill(rows)
    told = [f"{cell.row.name} {cell.tool}: {cell.postings}" for cell in done if cell.postings != (cell.tool != "read")]
    assert told == []
    assert table.sound() == []
    return cells.rendered(done).splitlines()


@pytest.mark.timeout(400)
def test_rows_of_the_crash_table_are_what_happens(table: Table) -> None:
    rows = tuple(row for row in ROWS if row.point in SHORT)
    assert set(filled(table, rows)) <= set(cells.documented(DOCUMENT.read_text()))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_crash_table_is_what_happens(table: Table) -> None:
    found = filled(table, ROWS)
    if os.environ.get("STANDFAST_WRITE_TABLES"):
        DOCUMENT.write_text(cells.rewritten(DOCUMENT.read_text(), found))
    assert found == cells.documented(DOCUMENT.read_text())


def test_crash_table_has_every_crash_point() -> None:
    points = set(crashpoints.OF_EFFECTS)
    assert {row.point for row in ROWS} == points
    assert {line.split("`")[1] for line in cells.documented(DOCUMENT.read_text()) if "`" in line} == points
