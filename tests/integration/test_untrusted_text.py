"""What strangers wrote marks all that a mission does after reading it: its own calls, its agents, its next chapters."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from approvals import edits
from approvals.models import Decision
from approvals.policies import document, versions
from approvals.refusals import BadVote
from missions.authoring import AgentFailed, Context, Denied, InvalidInput, Verdict, mission
from missions.engine import history, mailbox, starting
from missions.models import Kind, Mission
from missions.testing import gates
from missions.tools import registry
from tests import thinkers
from tests.live_worker import ended, parked, worker
from tests.llm_servers import Call, Say, turns

pytestmark = pytest.mark.django_db(transaction=True)
LETTER = ["till.letter"]
SUPERVISORS = [{"group": "supervisors", "quorum": 1}]


@dataclass
class Amount:
    """What a letter asks for."""

    amount: int


def ruled(mission: Mission, name: str) -> list[list[str]]:
    """The sources that each intent of this tool names."""
    intents = [entry.payload["intent"] for entry in history.entries(mission.pk) if entry.kind == Kind.RULING]
    return [intent["untrusted"] for intent in intents if intent["tool"] == name]


def thought(mission: Mission) -> list[list[str]]:
    """The sources that each request to an LLM is recorded with."""
    return [entry.payload["untrusted"] for entry in history.entries(mission.pk) if entry.kind == Kind.LLM]


@mission("strangers.read_by_code")
async def read_by_code(m: Context, given: dict[str, Any]) -> Verdict:
    """Reads a letter in its first chapter and goes on with it."""
    if not given.get("chapter"):
        await m.tool("till.keyed", amount=1)
        await m.tool("till.letter", number=1)
        await m.wait_for_signal("on")
        await m.tool("till.keyed", amount=2)
        await m.llm("What does it say?")
        await m.continue_as({"chapter": 2})
    await m.tool("till.keyed", amount=3)
    await m.agent("scout", goal="Answer it.")
    return Verdict("done")


def test_what_its_own_code_has_read_marks_its_calls_its_agents_and_its_next_chapter() -> None:
    thinkers.version("scout", tools=["till.keyed"])
    script = turns(Say(calls=(Call("till-keyed", {"amount": 4}),)), "Answered.")
    with gates.allowing(), thinkers.thinking(lambda asked: "That." if "say?" in str(asked.body) else script(asked)):
        mission, _ = starting.start("strangers.read_by_code", {})
        with worker():
            parked(mission, "signal:on")
        with worker():  # another one, which replays the reading
            mailbox.deliver(mission.pk, "on", {}, sender="test")
            ended(mission)
    assert mission.state == "completed", mission.outcome.error
    assert ruled(mission, "till.keyed")[0] == [] and ruled(mission, "till.letter") == [[]]
    assert all(one == LETTER for one in ruled(mission, "till.keyed")[1:] + thought(mission))


@mission("strangers.read_by_agent")
async def read_by_agent(m: Context, given: dict[str, Any]) -> Verdict:
    """Pays what an agent says."""
    result = await m.agent("scout", goal="What does letter 1 ask for?")
    await m.tool("till.keyed", amount=900)
    return Verdict("done", data={"said": result.output})


def test_what_an_agent_has_read_marks_what_the_mission_does_with_its_answer() -> None:
    thinkers.version("scout", tools=LETTER)
    with gates.allowing(), thinkers.thinking(turns(Say(calls=(Call("till-letter", {"number": 1}),)), "900.")), worker():
        mission = ended(starting.start("strangers.read_by_agent", {})[0])
    assert ruled(mission, "till.keyed") == [LETTER]


@mission("strangers.agent_gives_up")
async def agent_gives_up(m: Context, given: dict[str, Any]) -> Verdict:
    """Pays although its agent came to no answer."""
    try:
        await m.agent("scout", goal="How much does letter 1 ask for?", output=Amount)
    except AgentFailed:
        await m.tool("till.keyed", amount=900)
    return Verdict("done")


def test_an_agent_that_fails_after_reading_leaves_its_mark() -> None:
    thinkers.version("scout", tools=LETTER)
    script = turns(Say(calls=(Call("till-letter", {"number": 1}),)), *["Much."] * 9)
    with gates.allowing(), thinkers.thinking(script), worker():
        mission = ended(starting.start("strangers.agent_gives_up", {})[0])
    assert ruled(mission, "till.keyed") == [LETTER]


@mission("strangers.has_a_child")
async def has_a_child(m: Context, given: dict[str, Any]) -> Verdict:
    """Pays what an agent says that works in a mission of its own; then starts another mission."""
    child = await m.spawn("agent", {"agent": "scout", "goal": "What does letter 1 ask for?"})
    await m.join(child)
    await m.tool("till.keyed", amount=900)
    await m.join(await m.spawn("strangers.kept_from_reading", {}))
    return Verdict("done")


def test_a_childs_answer_brings_its_marks_and_a_child_begins_with_its_parents() -> None:
    thinkers.version("scout", tools=LETTER)
    with gates.allowing(), thinkers.thinking(turns(Say(calls=(Call("till-letter", {"number": 1}),)), "900.")), worker():
        mission = ended(starting.start("strangers.has_a_child", {})[0])
    assert mission.state == "completed" and ruled(mission, "till.keyed") == [LETTER]
    (last,) = Mission.objects.filter(type="strangers.kept_from_reading")
    assert ruled(last, "till.letter") == [LETTER]


@mission("strangers.trusts_by_now")
async def trusts_by_now(m: Context, given: dict[str, Any]) -> Verdict:
    """Reads, and pays later."""
    await m.tool("till.letter", number=1)
    await m.wait_for_signal("on")
    await m.decide("how much", 1, confidence=0.9)
    await m.tool("till.keyed", amount=1)
    return Verdict("done")


def test_a_mark_is_as_it_was_recorded_whatever_the_tool_says_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    with gates.allowing():
        mission, _ = starting.start("strangers.trusts_by_now", {})
        with worker():
            parked(mission, "signal:on")
        monkeypatch.setitem(registry._tools, LETTER[0], replace(registry.get_tool(LETTER[0]), untrusted=False))
        mailbox.deliver(mission.pk, "on", {}, sender="test")
        with worker():
            ended(mission)
    assert ruled(mission, "till.keyed") == [LETTER]


def test_policy_is_told_of_marks_when_people_edit_what_is_asked() -> None:
    rules: list[dict[str, Any]] = [
        {"name": "reads", "scope": {"tool": "till.letter"}, "effect": "allow", "reason": "A test."},
        {"name": "much", "scope": {"tool": "till.keyed"}, "when": "data.untrusted && args.amount > 100",
         "effect": "deny", "reason": "Strangers asked for much."},
        {"name": "pay", "scope": {"tool": "till.keyed"}, "effect": "escalate", "tiers": SUPERVISORS, "reason": "Ask."},
    ]  # fmt: skip
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rules}), activate=True, via="test")
    mission, _ = starting.start("strangers.reads_and_pays", {})
    with worker():
        parked(mission, "decision:")
    decision = Decision.objects.get(mission_id=mission.pk)
    assert decision.facts["untrusted"] == LETTER
    with pytest.raises(BadVote, match="Strangers asked for much"):
        edits.checked(decision, {"amount": 500})
    assert edits.checked(decision, {"amount": 50})[1].outcome == "escalate"


@mission("strangers.decides")
async def decides(m: Context, given: dict[str, Any]) -> Verdict:
    """Decides before and after reading."""
    await m.decide("before", 1, confidence=0.9)
    await m.tool("till.letter", number=1)
    await m.decide("after", 1, confidence=0.9)
    return Verdict("done")


def test_policy_is_told_of_marks_when_a_mission_decides() -> None:
    rules: list[dict[str, Any]] = [
        {"name": "reads", "scope": {"tool": "till.letter"}, "effect": "allow", "reason": "A test."},
        {"name": "look", "scope": {"decision_class": "*"}, "when": "data.untrusted", "effect": "escalate",
         "tiers": SUPERVISORS, "reason": "It rests on what strangers wrote."},
    ]  # fmt: skip
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rules}), activate=True, via="test")
    mission, _ = starting.start("strangers.decides", {})
    with worker():
        parked(mission, "decision:")
    assert "After" in Decision.objects.get(mission_id=mission.pk).sentence


@mission("strangers.reads_and_pays")
async def reads_and_pays(m: Context, given: dict[str, Any]) -> Verdict:
    """Pays after reading."""
    await m.tool("till.letter", number=1)
    await m.tool("till.keyed", amount=1)
    return Verdict("done")


@mission("strangers.kept_from_reading")
async def kept_from_reading(m: Context, given: dict[str, Any]) -> Verdict:
    """Asks in a way that nobody can answer, is not let read, and pays."""
    with suppress(InvalidInput):
        await m.tool("till.letter", number="one")
    with suppress(Denied):
        await m.tool("till.letter", number=1)
    await m.tool("till.keyed", amount=1)
    return Verdict("done")


def test_what_was_not_read_marks_nothing() -> None:
    rules = [
        {"name": "no-letters", "scope": {"tool": "till.letter"}, "effect": "deny", "reason": "No letters."},
        {"name": "payments", "scope": {"tool": "till.keyed"}, "effect": "allow", "reason": "A test."},
    ]
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rules}), activate=True, via="test")
    with worker():
        mission = ended(starting.start("strangers.kept_from_reading", {})[0])
    assert ruled(mission, "till.keyed") == [[]]
