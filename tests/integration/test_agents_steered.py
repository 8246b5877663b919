"""Rolling an agent back between two of its turns, and trying one again that failed."""

from __future__ import annotations

from typing import Any

import pytest

from missions.control import lineage, preview, replay
from missions.engine import controls, history, starting
from missions.models import Agent, Kind, Mission
from missions.testing import gates
from tests import thinkers
from tests.live_worker import ended, wait_until, worker
from tests.llm_servers import Call, Say, Status, in_order, turns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _scout() -> None:
    thinkers.till.clear()
    thinkers.version("scout", tools=thinkers.TOOLS)


def pay(amount: int) -> Say:
    return Say(calls=(Call("till-keyed", {"amount": amount}), Call("till-price", {"order_id": "ORD-1"})))


def handed() -> Mission:
    return starting.start("agent", {"agent": "scout", "goal": "Pay."})[0]


def steered(mission: Mission, verb: str, **more: Any) -> Mission:
    """Steer it, and wait until it has ended on its new timeline."""
    controls.request(mission.pk, verb, by="olivia", key=verb, **more)
    return wait_until(mission, lambda now: now.timeline == 2 and now.ended)


def of_llm(mission: Mission) -> list[int]:
    return [entry.seq for entry in history.entries(mission.pk) if entry.kind == Kind.LLM]


def test_agent_goes_back_to_between_two_turns_and_keeps_what_it_did_before() -> None:
    script = turns(pay(1), pay(2), pay(3), "All is paid.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
        first, second, third, _ = of_llm(mission)
        asked = len(llm.requests)
        points = {seq: lineage.snap(mission, seq).seq for seq in range(2, mission.head_seq + 1)}
        assert points[first] == first and points[second - 1] == second - 1  # its calls have ended by then
        assert all(points[seq] == first for seq in range(first + 1, second - 1))
        seen = preview.preview(mission, third)
        assert [effect.tool for effect in seen.effects] == ["till.keyed"]
        steered(mission, "rollback", to=second - 1, digest="", guidance="Pay 20 instead of 2.")
    assert mission.outcome.summary == "All is paid.", mission.outcome.error
    assert len(llm.requests) == asked + 3
    assert "Pay 20 instead of 2." in str(llm.requests[asked].body["messages"])
    # What nothing undoes stands: asked for again with the same arguments, it is not paid again.
    assert [one.args["amount"] for one in thinkers.till.postings] == [1, 2, 3]


def test_check_against_the_code_goes_through_all_turns_and_calls() -> None:
    with gates.allowing(), thinkers.thinking(turns(pay(1), pay(2), "All is paid.")) as llm:
        with worker():
            mission = ended(handed())
        found = replay.replay(mission)
        assert (found.ok, found.entries) == (True, mission.head_seq - 1), found.detail  # all but its end
        Agent.objects.update(name="somebody-else")
        other = replay.replay(mission)
        assert other.ok is False and "no agent 'scout'" in other.detail
        assert len(llm.requests) == 3


def test_mission_without_a_title_is_called_by_its_goal() -> None:
    assert handed().brief.title == "scout: Pay."


@pytest.mark.parametrize("at_turn", [1, 3])
def test_agent_whose_llm_failed_is_tried_again_from_that_turn(at_turn: int) -> None:
    before = [pay(number) for number in range(1, at_turn)]
    script = in_order(*before, Status(400, message="no such model"), "All is paid.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
        assert mission.state == "failed" and "no such model" in mission.outcome.error
        steered(mission, "retry")
    assert mission.state == "completed" and mission.outcome.summary == "All is paid.", mission.outcome.error
    assert len(llm.requests) == at_turn + 1
    assert [one.args["amount"] for one in thinkers.till.postings] == list(range(1, at_turn))


def test_calls_that_do_not_fit_end_the_agent_in_words_for_people() -> None:
    wrong = Say(calls=(Call("till-price", {"order": "x"}),))
    with gates.allowing(), thinkers.thinking(in_order(*[wrong] * 9)) as llm, worker():
        mission = ended(handed())
    assert mission.state == "failed" and "did not fit, 5 times in a row" in mission.outcome.error
    assert len(llm.requests) == 5 and "order_id: Field required" in str(llm.requests[-1].body["messages"])


def test_agent_that_led_nowhere_is_asked_its_last_turn_again() -> None:
    nonsense = Say(calls=(Call("no-such", {}),))
    script = in_order(pay(1), *[nonsense] * 6, "All is paid.")
    with gates.allowing(), thinkers.thinking(script) as llm, worker():
        mission = ended(handed())
        assert mission.state == "failed" and len(llm.requests) == 7
        assert "did not fit, 5 times in a row" in mission.outcome.error and "http" not in mission.outcome.error
        steered(mission, "retry")
    assert mission.outcome.summary == "All is paid.", mission.outcome.error
    assert len(llm.requests) == 8 and len(thinkers.till.postings) == 1
