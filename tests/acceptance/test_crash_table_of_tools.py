"""The crash table of the bundled tools in docs/durability.md is what happens, with workers that die exactly there.

`STANDFAST_WRITE_TABLES=1` writes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from approvals.policies import document, versions
from tests import sandboxed
from tests.deaths import bundled_sides
from tests.deaths.bundled_sides import BEGIN, END, ROWS, TOOLS, BundledSides
from tests.deaths.cells import Row
from tests.deaths.forks import ROOT, Forks
from tests.deaths.tabling import Table

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), sandboxed.needs_bubblewrap]
SHORT = ("call_sent", "call_answered")
DOCUMENT = ROOT / "docs" / "durability.md"


class ToolTable(Table):
    """Nobody is asked before these calls; the mission that a cell starts waits for nothing."""

    tools = TOOLS

    def prepare(self) -> None:
        super().prepare()
        rules: list[dict[str, Any]] = [
            {"name": f"free-{number}", "scope": {"tool": tool}, "effect": "allow", "reason": "A test."}
            for number, tool in enumerate(TOOLS)
        ]
        versions.load(document.check({"name": "bundled", "mode": "enforce", "rules": rules}), activate=True, via="test")


@pytest.fixture
def table(process_environment: dict[str, str], tmp_path: Path) -> Iterator[ToolTable]:
    sides = BundledSides()
    (tmp_path / "data").mkdir()
    forks = Forks({
        **process_environment, **sides.environment, "DATA_DIR": str(tmp_path / "data"),
        "MISSIONS_HEARTBEAT_SECONDS": "0.5", "MISSIONS_MODULES": "tests.deaths.scenes",
    }, tmp_path / "nest.log")  # fmt: skip
    made = ToolTable(tmp_path, forks, sides)
    made.prepare()
    yield made
    forks.close()
    sides.close()


def filled(table: ToolTable, rows: tuple[Row, ...]) -> dict[tuple[str, str], str]:
    """What the table says of these rows, from runs; each effect happened once, and nothing is left over."""
    cells = table.fill(rows)
    assert [f"{cell.row.name} {cell.tool}: {cell.postings}" for cell in cells if cell.postings != 1] == []
    assert [f"{cell.row.name} {cell.tool}" for cell in cells if not cell.struck] == []
    assert table.sound() == []
    return bundled_sides.words(cells)


@pytest.mark.timeout(400)
def test_bundled_tools_happen_once_where_their_worker_dies_in_the_call(table: ToolTable) -> None:
    found = filled(table, tuple(row for row in ROWS if row.point in SHORT))
    known = bundled_sides.documented(DOCUMENT.read_text())
    assert found == {place: told for place, told in known.items() if place in found}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_crash_table_of_bundled_tools_is_what_happens(table: ToolTable) -> None:
    found = filled(table, ROWS)
    if os.environ.get("STANDFAST_WRITE_TABLES"):
        before, rest = DOCUMENT.read_text().split(BEGIN)
        DOCUMENT.write_text("\n".join([before + BEGIN, *bundled_sides.rendered(found), END + rest.split(END)[1]]))
    assert found == bundled_sides.documented(DOCUMENT.read_text())
