"""An agent in a mission: its turns, its calls through the gate, what goes back to the LLM, what is on the record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from missions.engine import history, starting
from missions.engine.history import HistoryEntry
from missions.models import Engagement, Kind, Mission
from missions.testing import gates
from missions.testing.crashtest import crashtest
from tests import thinkers
from tests.conftest import Clock, Person
from tests.live_worker import ended, parked, worker
from tests.llm_servers import Call, Held, LlmServer, Say, in_order, turns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _till_is_empty() -> None:
    thinkers.till.clear()


def handed(goal: str = "Find out what ORD-1 cost.", agent: str = "scout", **more: Any) -> Mission:
    """The bundled mission, started with a goal."""
    mission, _ = starting.start("agent", {"agent": agent, "goal": goal, **more})
    return mission


def record(mission: Mission) -> list[HistoryEntry]:
    return list(history.entries(mission.pk))


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in record(mission)]


def pay(tool: str, amount: int = 1) -> Call:
    return Call(f"till-{tool}", {"amount": amount})


PRICE = Call("till-price", {"order_id": "ORD-1"})


def last_words(server: LlmServer) -> str:
    """What the LLM was shown in its last request."""
    return json.dumps(server.requests[-1].body["messages"])


def test_agent_without_tools_answers_and_leaves_a_record() -> None:
    thinkers.version("scout")
    with thinkers.thinking("It cost 12.00.") as llm, worker():
        mission = ended(handed())
    assert mission.outcome.verdict == "answered" and mission.outcome.summary == "It cost 12.00."
    assert kinds(mission) == [Kind.STARTED, Kind.AGENT, Kind.LLM, Kind.COMPLETED]
    assert len(llm.requests) == 1
    assert Engagement.objects.get(mission_id=mission.pk).version == 1


def test_calls_of_one_answer_run_side_by_side_and_their_results_come_in_order() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    script = turns(Say(calls=(PRICE, pay("keyed", 4))), "Done.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    assert mission.outcome.verdict == "answered", mission.outcome.error
    outcomes = [entry.path for entry in record(mission) if entry.kind == Kind.OUTCOME]
    assert sorted(outcomes) == ["scout#1/calls-1/0/till.price#1", "scout#1/calls-1/1/till.keyed#1"]
    shown = [one for one in llm.requests[-1].body["messages"] if one["role"] == "tool"]
    assert [json.loads(one["content"]) for one in shown] == [{"order_id": "ORD-1", "price": "12.00"}, {"amount": 4}]


@pytest.mark.parametrize("positions", [
    pytest.param(24, id="some positions", marks=pytest.mark.timeout(300)),
    pytest.param(10**6, id="every position", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
])
def test_agent_killed_all_along_does_each_effect_once_and_comes_to_the_same_answer(
    clock: Clock, positions: int
) -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    script = turns(
        Say(calls=(PRICE,)), Say(calls=(pay("keyed"),)), Say(calls=(pay("verifiable"),)),
        Say(calls=(pay("manual"),)), Say(calls=(PRICE, pay("keyed", 2))), Say(calls=(Call("no-such", {}),)),
        Say(calls=(pay("keyed", 3), pay("keyed", 3))), Say(calls=(Call("till-keyed", {"amount": "x"}),)),
        Say(text="Hm.", calls=(pay("verifiable", 2),)), "All is paid.",
    )
    with thinkers.thinking(script) as llm:
        report = crashtest("agent", {"agent": "scout", "goal": "Pay."}, positions=positions)
    assert report.findings == []
    assert report.entries > 35
    assert len(llm.requests) <= 10 * (report.cuts + 2) + report.cuts  # turns of each run, and one more for each kill


# -- What goes back to the LLM -----------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_and_unknown_tools_go_back_to_the_llm_and_are_on_the_record() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    script = turns(Say(calls=(Call("till-keyed", {"amount": "x"}), Call("no-such", {}))), "I give up.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    assert mission.outcome.verdict == "answered" and thinkers.till.requests == []
    (refused,) = [entry for entry in record(mission) if entry.kind == Kind.OUTCOME]
    assert refused.payload["error"]["type"] == "invalid_input"
    assert "amount" in last_words(llm) and "Unknown tool" in last_words(llm)


def test_policy_that_denies_is_told_to_the_llm_and_the_agent_goes_on() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    with thinkers.thinking(turns(Say(calls=(pay("keyed"),)), "Then not.")) as llm, worker():
        mission = ended(handed())  # without a policy every write is denied
    assert mission.outcome.summary == "Then not." and thinkers.till.postings == []
    assert "Policy denies it" in last_words(llm)


def test_what_an_untrusted_source_said_is_noted_and_told_to_policy() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    script = turns(Say(calls=(Call("till-letter", {"number": 1}),)), Say(calls=(pay("keyed"),)), "Done.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    shown = [entry.payload["untrusted"] for entry in record(mission) if entry.kind == Kind.LLM]
    assert shown == [[], ["till.letter"], ["till.letter"]]
    ruled = [entry.payload["intent"] for entry in record(mission) if entry.kind == Kind.RULING]
    assert [one["untrusted"] for one in ruled] == [[], ["till.letter"]]
    assert all("Letter 1" not in str(one) for body in llm.requests for one in body.body["messages"]
               if one["role"] == "system")  # fmt: skip
    assert mission.outcome.data["untrusted"] == ["till.letter"]


def test_agent_below_another_works_in_a_branch_of_its_own_and_its_sources_count_above() -> None:
    thinkers.version("lead", tools=["agent:scout", "till.keyed"])
    thinkers.version("scout", tools=["till.letter", "till.price"])

    def script(asked: Any) -> Any:
        messages = asked.body["messages"]
        goal = next(one["content"] for one in messages if one["role"] == "user")
        answered = any(one["role"] == "tool" for one in messages)
        if "Split" not in goal:
            letter = Call("till-letter", {"number": 1}) if "letter" in goal else PRICE
            return "found" if answered else Say(calls=(letter,))
        both = Call("agent-scout", {"goal": "Read the letter."}), Call("agent-scout", {"goal": "Find the price."})
        return "All found." if answered else Say(calls=both)

    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed("Split the work.", agent="lead"))
    assert mission.outcome.summary == "All found.", mission.outcome.error
    assert mission.outcome.data["untrusted"] == ["till.letter"] and len(llm.requests) == 6
    paths = {entry.path for entry in record(mission) if entry.kind == Kind.AGENT}
    assert paths == {"lead#1/turn-1", *(f"lead#1/calls-1/{number}/agent:scout#1/turn-1" for number in (0, 1))}


# -- Versions, chapters, limits ----------------------------------------------------------------------------------------


def test_version_that_comes_in_force_in_mid_flight_is_an_entry_and_holds_from_the_next_turn() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS, instructions="Old ways.")

    script = turns(Held(Say(calls=(PRICE,))), "Done.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = handed()
        llm.wait_for(1)
        thinkers.version("scout", tools=["till.price"], instructions="New ways.")
        llm.release()
        ended(mission)
    told = [(entry.payload["version"], entry.payload.get("from")) for entry in record(mission) if entry.kind == "agent"]
    assert told == [(1, None), (2, 1)]
    assert "New ways." in last_words(llm) and len(llm.requests[-1].body["tools"]) == 1


def test_long_work_goes_on_in_chapters_from_a_summary() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)

    def script(asked: Any) -> Any:
        first = asked.body["messages"][-1]["content"]
        if "Write the summary" in str(first):
            return "I have looked 25 times."
        return "Enough." if "25 times" in json.dumps(asked.body["messages"]) else Say(calls=(PRICE,))

    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    assert mission.outcome.summary == "Enough." and mission.chapter == 2
    assert mission.outcome.data["turns"] == 27 == len(llm.requests)  # 25, the summary, and the answer
    (chapter,) = [entry for entry in record(mission) if entry.kind == Kind.CHAPTER]
    assert chapter.payload["state"]["carried"]["summary"] == "I have looked 25 times."


def test_history_that_has_grown_too_large_ends_a_chapter_early() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)

    def script(asked: Any) -> Any:
        if "Write the summary" in str(asked.body["messages"][-1]["content"]):
            return "It was much."
        large = Say(calls=(PRICE,), usage=(70_000, 10))
        return "Enough." if "It was much" in json.dumps(asked.body["messages"]) else large

    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    assert mission.outcome.summary == "Enough." and mission.chapter == 2 and len(llm.requests) == 3


def test_state_of_a_chapter_can_not_be_brought_along_from_outside() -> None:
    thinkers.version("scout")
    carried = {"summary": "", "used": {"turns": 0, "tokens": 0, "cost": "0"}, "version": 1}
    with thinkers.thinking("Hello."), worker():
        mission = ended(handed(carried=carried))
    assert mission.state == "failed" and "next chapter" in mission.outcome.error


@pytest.fixture
def sam(person: Person) -> User:
    return person("sam", "supervisors")


def rule(mission: Mission, by: User, verdict: str) -> None:
    """Answer the mission's open decision."""
    decision = parked(mission, "decision:").decisions.get(state="open")
    told = {} if verdict == "approve" else {"reason_code": "other", "comment": "Enough."}
    votes.cast(decision.pk, by, verdict, decision.digest, channel="console", **told)


@pytest.mark.parametrize(("verdict", "ends", "turns"), [("approve", "answered", 3), ("reject", "budget_exhausted", 2)])
def test_limits_of_the_version_ask_people_and_end_the_agent_where_they_refuse(
    sam: User, verdict: str, ends: str, turns: int
) -> None:
    thinkers.version("scout", tools=thinkers.TOOLS, budget={"turns": 2})
    script = in_order(Say(calls=(PRICE,)), Say(calls=(PRICE,)), "Found.")
    with thinkers.thinking(script) as llm, worker():
        mission = handed()
        rule(mission, sam, verdict)
        ended(mission)
    assert mission.outcome.verdict == ends, mission.outcome.error
    assert len(llm.requests) == turns
    asked = [entry.payload["sentence"] for entry in record(mission) if entry.kind == Kind.ASKED]
    assert asked == ["Scout has used up its 2 turns: allow as much again?"]
