"""What a witness outside the database makes of what it sees; and whose code the watchdog blames. No database."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from missions.engine import witness
from missions.engine.watchdog import culprit
from missions.engine.witness import Sighting, loss

SEEN = Sighting(system=7, timeline=1, lsn=1000, xid=50, tide=9, at=100)
LATER = replace(SEEN, lsn=1001, xid=51, tide=10, at=101)


def test_a_database_that_went_on_lost_nothing() -> None:
    assert loss(SEEN, LATER) == ""
    assert loss(SEEN, replace(SEEN, tide=10)) == ""  # an idle one


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"system": 8}, "another cluster"),
        ({"lsn": 999}, "fallen behind what was seen before (position of its log)"),
        ({"xid": 49}, "(transactions)"),
        ({"tide": 9}, "(count of sightings)"),
        ({"tide": 8, "lsn": 1}, "(position of its log, count of sightings)"),
        ({"timeline": 2}, "another timeline"),
    ],
)
def test_a_database_that_lost_something_is_told_apart(change: dict[str, int], why: str) -> None:
    assert why in loss(SEEN, replace(LATER, **change))


def test_a_failover_may_be_trusted_and_a_loss_may_not() -> None:
    promoted = replace(LATER, timeline=2)
    assert loss(SEEN, promoted, trust_failover=True) == ""
    assert loss(SEEN, replace(promoted, lsn=999), trust_failover=True)


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "witness.json"
    assert witness.read(file) is None
    witness.write(file, SEEN)
    witness.write(file, LATER)
    assert witness.read(file) == LATER
    assert [path.name for path in file.parent.iterdir()] == ["witness.json"]


def test_two_hands_of_a_process_may_note_at_once(tmp_path: Path) -> None:
    file = tmp_path / "witness.json"
    with ThreadPoolExecutor(4) as hands:
        for done in [hands.submit(witness.write, file, replace(SEEN, tide=tide)) for tide in range(40)]:
            done.result()
    assert witness.read(file) is not None


def test_a_torn_witness_file_tells_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "witness.json"
    file.write_text('{"system": 7')
    assert witness.read(file) is None
    assert [record.action for record in caplog.records] == ["witness_unreadable"]  # type: ignore[attr-defined]


def test_the_watchdog_blames_the_authors_line() -> None:
    def author() -> str:
        return blamed()

    def blamed() -> str:
        return culprit(sys._getframe())

    assert author().startswith(f"{__file__}:") and author().endswith(" in blamed")
