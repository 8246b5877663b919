"""A worker's process is killed right after an LLM has answered, and in the middle of an amendment of the goal."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from approvals.models import Decision, DecisionState
from approvals.policies import document, versions
from missions.engine import controls, history
from missions.engine.starting import start
from missions.models import Goal, Kind, Mission
from tests import budgeted, forkserver, thinkers
from tests.live_worker import ended, parked, worker
from tests.llm_servers import Call, LlmServer, Say, turns

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"MISSIONS_HEARTBEAT_SECONDS": "0.3", "MISSIONS_HUNG_SECONDS": "5", "MISSIONS_MODULES": "tests.budgeted"}
PAY = Say(calls=(Call("corner-till", {"amount": "10.00", "currency": "GBP"}),))
SUPERVISORS = [{"group": "supervisors", "quorum": 1}]


@pytest.fixture
def environment(
    process_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What a worker's process gets that pays into a file."""
    monkeypatch.setenv(budgeted.FILE, str(tmp_path / "posted"))
    thinkers.version("scout", tools=["corner.till"])
    return {**process_environment, **QUICK, budgeted.FILE: str(tmp_path / "posted")}


def govern(pay: str) -> None:
    tiers = {"tiers": SUPERVISORS} if pay == "escalate" else {}
    rules = [
        {"name": "pay", "scope": {"tool": "corner.*"}, "effect": pay, "reason": "A test.", **tiers},
        {"name": "goal", "scope": {"tool": "mission.goal"}, "effect": "allow", "reason": "A test."},
    ]
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rules}), activate=True, via="test")


def killed(environment: dict[str, str], llm: LlmServer, point: str) -> None:
    """Run a worker in a process of its own until it dies there."""
    thinking = {"LLM_PROVIDERS": llm.provider("local"), "LLM_CHAIN": "local/scripted", "STANDFAST_CRASH_AT": point}
    done = forkserver.run(["manage.py", "runmissions"], {**environment, **thinking}, seconds=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def handed() -> Mission:
    return start("agent", {"agent": "scout", "goal": "Pay."})[0]


@pytest.mark.parametrize("arrival", [1, 2])
def test_answer_that_was_not_recorded_is_asked_for_again_and_nothing_is_paid_twice(
    environment: dict[str, str], arrival: int
) -> None:
    govern("allow")
    with thinkers.thinking(turns(PAY, "Paid."), nonces=True) as llm:
        mission = handed()
        killed(environment, llm, f"llm_answered:{arrival}")
        with worker():
            assert ended(mission).outcome.summary.startswith("Paid.")
        assert len(llm.requests) == 3  # two turns and one death
        assert len(budgeted.posted()) == 1
        answers = [entry for entry in history.entries(mission.pk) if entry.kind == Kind.LLM]
        assert [one.payload["turn"] for one in answers] == [1, 2]


def test_amendment_that_was_cut_off_is_written_once_and_reaches_the_agent(environment: dict[str, str]) -> None:
    govern("escalate")
    with thinkers.thinking(turns(PAY, "Then not.")) as llm:
        mission = handed()
        with worker():
            parked(mission, "decision:")
        controls.request(mission.pk, "amend", reason="A mistake.", by="olivia", goal="Do not pay.", by_id=None)
        killed(environment, llm, "goal_answered")
        with worker():
            assert ended(mission).outcome.summary == "Then not."
        assert "Do not pay." in str(llm.requests[-1].body["messages"])
    assert Goal.objects.filter(mission_id=mission.pk, text="Do not pay.").count() == 1
    assert Decision.objects.get(mission=mission).state == DecisionState.SUPERSEDED and budgeted.posted() == []
