"""People and an agent's calls: what waits, what goes on meanwhile, and what the LLM is told of their answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Decision, DecisionState
from approvals.policies import document, versions
from missions.engine import controls, history, starting
from missions.models import Kind, Mission
from tests import thinkers
from tests.conftest import Person
from tests.live_worker import ended, parked, wait_until, worker
from tests.llm_servers import Call, LlmServer, Say, turns

pytestmark = pytest.mark.django_db(transaction=True)
SUPERVISORS = [{"group": "supervisors", "quorum": 1}]
PRICE, PAY = Call("till-price", {"order_id": "ORD-1"}), Call("till-keyed", {"amount": 900})
LETTER = Call("till-letter", {"number": 1})


@pytest.fixture(autouse=True)
def _fresh() -> None:
    thinkers.till.clear()
    thinkers.version("scout", tools=thinkers.TOOLS)


@pytest.fixture
def sam(person: Person) -> User:
    return person("sam", "supervisors")


def govern(*rules: dict[str, Any]) -> None:
    """Every payment is asked about, or as these rules say."""
    asks = {"effect": "escalate", "tiers": SUPERVISORS, "reason": "It is money."}
    pay = {"name": "pay", "scope": {"tool": "till.keyed"}, **asks}
    goal = {"name": "goal", "scope": {"tool": "mission.goal"}, "effect": "allow", "reason": "A test."}
    given = {"name": "till", "mode": "enforce", "rules": [*(rules or (pay,)), goal]}
    versions.load(document.check(given), activate=True, via="test")


def handed() -> Mission:
    mission, _ = starting.start("agent", {"agent": "scout", "goal": "Pay what is owed."})
    return mission


def asked(mission: Mission) -> Decision:
    """The decision that it waits for."""
    return parked(mission, "decision:").decisions.get(state=DecisionState.OPEN)


def answer(decision: Decision, by: User, verdict: str, **more: Any) -> None:
    decision.refresh_from_db()
    told = {} if verdict == "approve" else {"reason_code": "other", "comment": "Only half of it."}
    votes.cast(decision.pk, by, verdict, decision.digest, channel="console", **told, **more)


def shown(llm: LlmServer) -> str:
    """What the LLM was last told."""
    return json.dumps(llm.requests[-1].body["messages"])


def test_call_that_waits_for_people_loses_none_of_its_siblings(sam: User) -> None:
    govern()
    with thinkers.thinking(turns(Say(calls=(PRICE, PAY, LETTER)), "Paid.")) as llm, worker():
        mission = handed()
        decision = asked(mission)
        done = [entry.path for entry in history.entries(mission.pk) if entry.kind == Kind.OUTCOME]
        assert len(done) == 2 and thinkers.till.postings == [] and len(llm.requests) == 1
        assert decision.facts["agent"] == "scout"
        answer(decision, sam, "approve")
        assert ended(mission).outcome.summary == "Paid."
    assert len(thinkers.till.postings) == 1 and len(llm.requests) == 2
    reads = [entry for entry in history.entries(mission.pk) if entry.path.endswith("till.price#1")]
    assert [entry.kind for entry in reads] == [Kind.RULING, Kind.OUTCOME], "it was made once"


@pytest.mark.parametrize(
    ("verdict", "told"),
    [("reject", "People rejected it: Only half of it."), ("request_changes", "ask for changes: Only half of it.")],
)
def test_no_is_told_to_the_llm_which_goes_on_otherwise(sam: User, verdict: str, told: str) -> None:
    govern()
    half = Say(calls=(Call("till-keyed", {"amount": 450}),))
    with thinkers.thinking(turns(Say(calls=(PAY,)), half, "Half is paid.")) as llm, worker():
        mission = handed()
        answer(asked(mission), sam, verdict)
        wait_until(mission, lambda now: now.decisions.count() == 2)
        assert told in shown(llm)
        answer(asked(mission), sam, "approve")
        assert ended(mission).outcome.summary == "Half is paid."
    assert [one.args["amount"] for one in thinkers.till.postings] == [450]


def test_arguments_that_people_changed_are_told_with_the_result(sam: User, person: Person) -> None:
    govern()
    with thinkers.thinking(turns(Say(calls=(PAY,)), "Paid.")) as llm, worker():
        mission = handed()
        decision = asked(mission)
        answer(decision, sam, "approve", edited_args={"amount": 450})
        answer(decision, person("simon", "supervisors"), "approve")
        assert ended(mission).outcome.summary == "Paid."
    assert [one.args["amount"] for one in thinkers.till.postings] == [450]
    assert "approved_with_other_arguments" in shown(llm) and "450" in shown(llm)


def test_policy_asks_people_once_the_agent_has_read_what_strangers_wrote(sam: User) -> None:
    govern(
        {"name": "free", "scope": {"tool": "till.*"}, "effect": "allow", "reason": "Usually."},
        {"name": "tainted", "scope": {"agent": "*", "effect_class": "write"}, "when": "data.untrusted",
         "effect": "escalate", "tiers": SUPERVISORS, "reason": "The agent has read what strangers wrote."},
    )  # fmt: skip
    script = turns(Say(calls=(Call("till-keyed", {"amount": 1}),)), Say(calls=(LETTER,)), Say(calls=(PAY,)), "Paid.")
    with thinkers.thinking(script), worker():
        mission = handed()
        decision = asked(mission)
        assert [one.args["amount"] for one in thinkers.till.postings] == [1], "before the letter it was free to pay"
        assert "tainted" in decision.rules
        answer(decision, sam, "approve")
        ended(mission)
    assert [one.args["amount"] for one in thinkers.till.postings] == [1, 900]


def test_goal_amended_in_mid_mission_reaches_the_next_turn_and_supersedes_what_was_asked() -> None:
    govern()
    with thinkers.thinking(turns(Say(calls=(PAY,)), "Then nothing.")) as llm, worker():
        mission = handed()
        decision = asked(mission)
        controls.request(
            mission.pk, "amend", reason="It was a mistake.", by="olivia", goal="Pay nothing.", by_id=None
        )
        assert ended(mission).outcome.summary == "Then nothing."
    decision.refresh_from_db()
    assert decision.state == DecisionState.SUPERSEDED and thinkers.till.postings == []
    assert "The goal was amended" in shown(llm) and "Pay nothing." in shown(llm)
    (last,) = [entry for entry in history.entries(mission.pk) if entry.kind == Kind.LLM][-1:]
    assert "Pay nothing." in last.payload["said"][0]
