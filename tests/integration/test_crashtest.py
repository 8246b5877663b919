"""The crash test finds each kind of fault, and nothing where there is none."""

from __future__ import annotations

import json
import os
import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from missions.testing.crashtest import crashtest
from missions.testing.findings import Fault
from tests import planted
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _set_the_clock_right(clock: Clock) -> None: ...


@pytest.mark.timeout(300)
def test_clean_mission_passes_at_every_position_in_less_than_a_minute() -> None:
    begun = time.process_time()
    report = crashtest("planted.clean", {}, signals={"go": {"by": "post"}}, positions=100)
    assert report.findings == []
    assert report.cuts == 2 * (report.entries - 1) - 1 > 50
    assert time.process_time() - begun < 60


@pytest.mark.parametrize(
    ("name", "fault", "told"),
    [
        ("planted.diverges", Fault.DIVERGENCE, "'without#1'"),
        ("planted.repeats", Fault.REPEATED, "planted.reads is declared a read"),
        ("planted.differs", Fault.RESULT, "another data.ran: "),
        ("planted.random", Fault.RANDOMNESS, "planted.py:"),
        ("planted.hidden", Fault.RANDOMNESS, "another data.number"),
        ("planted.clock", Fault.CLOCK, "planted.py:"),
        ("planted.effect", Fault.EFFECT, "planted.py:"),
        ("planted.task", Fault.ORDER, "planted.py:"),
        ("planted.order", Fault.ORDER, "asyncio.sleep in a mission's body"),
    ],
)
def test_each_fault_is_found(name: str, fault: Fault, told: str) -> None:
    found = crashtest(name, {}).findings
    assert any(one.fault is fault and told in one.told for one in found), found


@pytest.mark.parametrize(
    ("tool", "told"), [("planted.ignores", "did the same key twice"), ("planted.counts", "in 2 ways")]
)
def test_keyed_tool_that_does_the_same_key_twice_is_found(tool: str, told: str) -> None:
    found = crashtest("planted.retry", {"tool": tool}).findings
    assert any(one.fault is Fault.RETRY and told in one.told for one in found), found
    assert all(one.cut is not None for one in found)  # nothing shows as long as nothing is killed


def test_probe_that_finds_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted.bank, "_posting", lambda key: None)
    found = crashtest("planted.retry", {"tool": "planted.verifiable"}).findings
    assert [one.fault for one in found] == [Fault.RETRY] and "its probe did not find that" in found[0].told


def test_mission_that_waits_for_what_nobody_sends_is_told() -> None:
    crashed = crashtest("planted.waits", {})
    assert [one.fault for one in crashed.findings] == [Fault.UNFINISHED]
    assert "signal:go" in crashed.findings[0].told


def run(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("mission", "crashtest", *words, stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def test_command_works_in_a_database_of_its_own_and_says_what_it_found() -> None:
    name = connection.settings_dict["NAME"]
    code, told = run("planted.differs", "--input", "{}", "--positions", "6", "--json")
    facts: dict[str, Any] = json.loads(told.splitlines()[0])
    assert code == 1 and facts["cuts"] == 6 and {one["fault"] for one in facts["findings"]} == {"different result"}
    assert run("planted.none", "--input", "{}")[0] == 1
    assert run("planted.differs", "--input", "{}", "--positions", "0")[0] == 2
    assert connection.settings_dict["NAME"] == name
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from missions_mission")
        assert cursor.fetchone() == (0,)
        cursor.execute("select count(*) from pg_database where datname = %s", [f"standfast_crashtest_{os.getpid()}"])
        assert cursor.fetchone() == (0,)
