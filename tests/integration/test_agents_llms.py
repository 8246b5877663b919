"""LLMs that fail an agent: it waits, asks people, goes on with another one, or ends; no turn is asked for twice."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth.models import User
from pydantic import BaseModel

from approvals import votes
from config import llms
from missions.authoring import Context, Verdict, mission
from missions.engine import history, limits, starting, stops
from missions.engine.history import HistoryEntry
from missions.models import Kind, Mission
from missions.testing import gates
from tests import llm_servers, thinkers
from tests.conftest import Clock, Person
from tests.live_worker import ended, parked, wait_until, worker
from tests.llm_servers import Call, Held, Say, in_order, out_of_quota, rate_limited, turns

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = Say(calls=(Call("till-price", {"order_id": "ORD-1"}),))


def handed(**more: Any) -> Mission:
    mission, _ = starting.start("agent", {"agent": "scout", "goal": "Find out what ORD-1 cost."}, **more)
    return mission


def record(mission: Mission, *kinds: Kind) -> list[HistoryEntry]:
    return [entry for entry in history.entries(mission.pk) if entry.kind in kinds]


def test_rate_limit_parks_the_mission_until_the_time_the_provider_names(clock: Clock) -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    with thinkers.thinking(in_order(PRICE, rate_limited(900), "12.00")) as llm, worker():
        mission = parked(handed(), "llm:scout")
        assert mission.wake_at is not None and 890 < (mission.wake_at - clock.now()).total_seconds() <= 900
        clock.advance(901)
        mission = ended(mission)
    assert mission.outcome.summary == "12.00" and len(llm.requests) == 3
    (put_off,) = record(mission, Kind.BACKOFF)
    assert "429" in put_off.payload["why"] or "rate" in put_off.payload["why"].lower()


def test_quota_that_is_used_up_asks_people_and_goes_on_once_there_is_more(person: Person) -> None:
    sam: User = person("sam", "supervisors")
    thinkers.version("scout", tools=thinkers.TOOLS)
    with thinkers.thinking(in_order(PRICE, out_of_quota(), "12.00")) as llm, worker():
        mission = parked(handed(), "decision:")
        decision = mission.decisions.get()
        assert decision.kind == "budget" and "quota" in decision.sentence
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
        mission = ended(mission)
    assert mission.outcome.summary == "12.00" and len(llm.requests) == 3


def test_another_provider_takes_over_in_mid_mission_without_repeating_a_turn() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    with ExitStack() as stack:
        first = stack.enter_context(llm_servers.serve(in_order(PRICE, llm_servers.overloaded())))
        spare = stack.enter_context(llm_servers.serve(turns(PRICE, PRICE, "12.00"), nonces=True))
        known = llms.known(f"{first.provider('main')},{spare.provider('spare', 'anthropic')}")
        chain = llms.chain(["main/large", "spare/large"], known)
        stack.enter_context(thinkers.configured(known, chain))
        stack.enter_context(worker())
        mission = ended(handed())
    assert mission.outcome.summary.startswith("12.00"), mission.outcome.error
    (switched,) = record(mission, Kind.SWITCHED)
    assert (switched.payload["from"], switched.payload["to"]) == ("main/large", "spare/large")
    answered = [entry.payload["member"] for entry in record(mission, Kind.LLM)]
    assert answered == ["main/large", "spare/large", "spare/large"]
    assert [one.api for one in spare.requests] == ["anthropic", "anthropic"]
    assert len(record(mission, Kind.OUTCOME)) == 2  # each turn's call once


def test_llm_that_refuses_for_good_ends_the_agent_and_says_why() -> None:
    thinkers.version("scout")
    with thinkers.thinking(llm_servers.unauthorised()), worker():
        mission = ended(handed())
    assert mission.state == "failed" and "agent_failed" in mission.outcome.error
    (entry,) = record(mission, Kind.LLM)
    assert entry.payload["error"]["type"] == "llm_refused"


def test_what_llms_cost_counts_for_the_mission_and_its_budget_asks_people() -> None:
    thinkers.version("scout", tools=thinkers.TOOLS)
    with thinkers.thinking(turns(Say(calls=PRICE.calls, usage=(900, 100)))) as llm, worker():
        mission = parked(handed(budget={"tokens": 1500}), "decision:")
    assert len(llm.requests) == 2 and mission.decisions.get().kind == "budget"


class Price(BaseModel):
    """What an order cost."""

    order_id: str
    amount: str


@mission("thinkers.asks")
async def asks(m: Context, given: dict[str, Any]) -> Verdict:
    """One request, and an agent whose answer has a type."""
    hello = await m.llm("Say hello.", instructions="Be brief.")
    found = await m.agent("scout", goal="What did ORD-1 cost?", inputs={"order": "ORD-1"}, output=Price)
    return Verdict("found", data={"hello": hello, "price": found.output, "turns": found.turns})


def test_single_request_and_answer_of_a_type() -> None:
    thinkers.version("scout")
    right = Say(calls=(Call("final_result", {"order_id": "ORD-1", "amount": "12.00"}),))
    wrong = Say(calls=(Call("final_result", {"order_id": "ORD-1"}),))
    with gates.allowing(), thinkers.thinking(in_order("Hello.", wrong, right)) as llm, worker():
        mission = ended(starting.start("thinkers.asks", {})[0])
    assert mission.outcome.data["price"] == {"order_id": "ORD-1", "amount": "12.00"}, mission.outcome.error
    assert mission.outcome.data["hello"] == "Hello." and mission.outcome.data["turns"] == 2
    assert "Be brief." in json.dumps(llm.requests[0].body) and "ORD-1" in json.dumps(llm.requests[1].body["messages"])


def test_limit_on_asking_llms_makes_missions_take_turns() -> None:
    thinkers.version("scout")
    limits.put("tool", "llm", concurrency=1)
    with thinkers.thinking(Held("12.00")) as llm, worker():
        missions = [handed() for _ in range(3)]
        llm.wait_for(1)
        wait_until(missions[0], lambda _: Mission.objects.filter(state="waiting").count() == 2)  # whoever came first
        assert len(llm.requests) == 1
        llm.release()
        assert {ended(one).outcome.summary for one in missions} == {"12.00"}
    assert len(llm.requests) == 3


def test_stopped_agent_asks_no_llm_until_the_stop_is_lifted() -> None:
    thinkers.version("scout")
    stop = stops.press("agent", "scout", reason="It looks wrong.", by="paula")
    with thinkers.thinking("12.00") as llm, worker():
        mission = parked(handed(), "stop:")
        assert llm.requests == []
        stops.lift(stop.pk, by="paula")
        assert ended(mission).outcome.summary == "12.00"


def test_secret_that_a_tool_tells_reaches_no_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILL_CODE", "canary-58131")
    thinkers.version("scout", tools=["till.code"])
    script = turns(Say(calls=(Call("till-code", {}),)), "Fine.")
    with thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
    assert mission.outcome.summary == "Fine.", mission.outcome.error
    shown = json.dumps([one.body for one in llm.requests])
    assert "canary-58131" not in shown and "[secret TILL_CODE]" in shown
