"""Decisions that a mission makes: the gates before the next effect, the bars of policy, and what rests on them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from approvals import votes
from approvals.models import Decision, DecisionKind
from approvals.policies import document, versions
from missions.authoring import Context, Denied, Verdict
from missions.control import forks, resting
from missions.control.resting import AlreadyMarked, NoSuchDecision
from missions.engine import history
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import Kind, Mission, State, WrongMark
from tests import corners, live_worker
from tests.corners import bank, define, told

pytestmark = pytest.mark.django_db(transaction=True)
FREE = {"name": "free", "scope": {"tool": "corner.*"}, "effect": "allow", "reason": "A test."}
BAR = {
    "name": "sure", "scope": {"decision_class": "pay*"}, "bar": 0.9, "effect": "escalate", "reason": "Be surer.",
    "tiers": [{"group": "finance"}],
}  # fmt: skip


def odd(proposal: dict[str, Any]) -> str | None:
    return "The amount is odd." if proposal["amount"] % 2 else None


async def settle(m: Context, given: dict[str, Any]) -> Any:
    """Decide, then pay."""
    try:
        chosen = await m.decide(
            "payout", {"amount": given["amount"]}, confidence=given.get("confidence"), alternatives=[{"amount": 0}],
            validators=[odd], decision_class=given.get("class", ""),
        )
    except Denied as denied:
        return Verdict("denied", summary=str(denied))
    return Verdict("paid", data=await m.tool("corner.keyed", amount=chosen["amount"]))


SETTLE = define("gates.settle", settle)


@pytest.fixture(autouse=True)
def fresh() -> None:
    bank.__init__()  # type: ignore[misc]


@pytest.fixture
def fiona() -> User:
    user = User.objects.create_user("fiona")
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in ("finance", "supervisors")))
    return user


def rules(*more: dict[str, Any]) -> None:
    data = {"name": "gates", "mode": "enforce", "rules": [FREE, *more]}
    versions.load(document.check(data), activate=True, via="test")


def begin(**given: Any) -> Mission:
    return start(SETTLE, {"amount": 2, **given})[0]


def stopped(mission: Mission) -> Decision:
    """The decision at which the mission stands, with nothing paid."""
    live_worker.wait_until(mission, lambda now: now.waits_for.startswith("decision:"))
    assert not bank.calls
    return Decision.objects.get(mission=mission)


def approve(decision: Decision, voter: User) -> None:
    votes.cast(decision.pk, voter, "approve", decision.digest, channel="api")


@pytest.mark.parametrize(
    ("given", "against"),
    [
        ({"amount": 3, "confidence": 0.99}, "The amount is odd."),
        ({"confidence": None}, "No confidence was given."),
        ({"confidence": 0.69}, "The confidence of 69% is under the bar of 70%."),
    ],
)  # fmt: skip
def test_what_is_doubtful_stops_before_the_next_effect(given: dict[str, Any], against: str, fiona: User) -> None:
    rules()
    with live_worker.worker():
        mission = begin(**given)
        decision = stopped(mission)
        assert decision.kind == DecisionKind.VALIDATION
        assert decision.action["args"]["findings"] == [against]
        approve(decision, fiona)
        assert live_worker.ended(mission).state == State.COMPLETED
    assert len(bank.calls) == 1


def test_a_sure_decision_goes_on() -> None:
    rules()
    with live_worker.worker():
        live_worker.ended(begin(confidence=0.7))
    assert len(bank.calls) == 1
    assert not Decision.objects.exists()


@pytest.mark.parametrize("confidence", [0.89, None])
def test_policy_sets_the_bar_of_a_class_and_says_who_looks(confidence: float | None, fiona: User) -> None:
    rules(BAR)
    with live_worker.worker():
        mission = begin(confidence=confidence)
        decision = stopped(mission)
        assert [tier.group for tier in decision.tiers.all()] == ["finance"]
        assert decision.rules == ["sure"]
        assert decision.policy["name"] == "gates"
        assert decision.action["args"]["findings"] == ["Be surer."]
        approve(decision, fiona)
        live_worker.ended(mission)
    assert len(bank.calls) == 1


@pytest.mark.parametrize(
    ("given", "asks"), [({"confidence": 0.9}, False), ({"confidence": 0.75, "class": "refund"}, False),
                        ({"confidence": 0.75}, True)],
)  # fmt: skip
def test_a_bar_is_that_of_its_class_alone(given: dict[str, Any], asks: bool) -> None:
    rules(BAR)
    with live_worker.worker():
        mission = begin(**given)
        if asks:
            stopped(mission)
        else:
            live_worker.ended(mission)
            assert not Decision.objects.exists()


def test_a_rule_that_allows_replaces_the_bar_of_all_but_no_confidence_still_stops() -> None:
    rules({"name": "lax", "scope": {"decision_class": "payout"}, "when": "decision.findings == 0", "effect": "allow"})
    with live_worker.worker():
        live_worker.ended(begin(confidence=0.2))
        bank.calls.clear()
        stopped(begin(confidence=None))


def test_a_denied_decision_raises_and_nothing_is_done() -> None:
    rules({"name": "never", "scope": {"decision_class": "*"}, "effect": "deny", "reason": "Not by machines."})
    with live_worker.worker():
        mission = live_worker.ended(begin(confidence=1.0))
    assert mission.outcome.verdict == "denied"
    assert not bank.calls


def test_rules_of_actions_are_not_about_decisions_nor_the_other_way_round() -> None:
    rules({"name": "no-decisions", "scope": {"decision_class": "*"}, "effect": "deny"})
    paying = define("gates.pay", corners.pay)
    with live_worker.worker():
        other = start(paying, {"tool": "corner.keyed"})[0]
        assert live_worker.ended(other).state == State.COMPLETED
    versions.load(document.check({"name": "gates", "rules": [
        FREE, {"name": "all", "effect": "deny", "scope": {"tool": "*"}, "when": "args.amount == 2"},
    ]}), activate=True, via="test")  # fmt: skip
    bank.calls.clear()
    with live_worker.worker():
        live_worker.wait_until(begin(confidence=0.1), lambda now: now.waits_for.startswith("decision:"))


@pytest.mark.parametrize("confidence", [1.5, -0.1, float("nan")])
def test_a_confidence_that_is_none_fails_the_mission_in_words(confidence: float) -> None:
    rules()
    mission = start(define("gates.mad", _mad(confidence)), {})[0]
    with live_worker.worker():
        assert live_worker.ended(mission).state == State.FAILED
    assert "from 0 to 1" in str(history.entries(mission.pk)[-1].payload)


def _mad(confidence: float) -> Any:
    async def body(m: Context, given: dict[str, Any]) -> Any:
        await m.decide("mad", {}, confidence=confidence)

    return body


# -- What rests on it --------------------------------------------------------------------------------------------------


async def family(m: Context, given: dict[str, Any]) -> Any:
    await m.tool("corner.keyed", amount=1)
    await m.decide("first", {"amount": 2}, confidence=1.0)
    await m.tool("corner.keyed", amount=2)
    await m.decide("second", {}, confidence=1.0)
    child = await m.spawn("gates.child", {})
    await m.join(child)
    return Verdict("done")


async def child(m: Context, given: dict[str, Any]) -> Any:
    return Verdict("paid", data=await m.tool("corner.keyed", amount=3))


@pytest.fixture
def parent() -> Mission:
    """A mission that has paid, decided, paid, decided, and had a child pay; and one that waited for its end."""
    rules()
    name, _ = define("gates.family", family), define("gates.child", child)
    mission = start(name, {})[0]
    follower = start(SETTLE, {"amount": 4, "confidence": 1.0}, after=[mission.uid])[0]
    with live_worker.worker():
        live_worker.ended(mission)
        live_worker.ended(follower)
    return mission


def decided(mission: Mission) -> list[int]:
    return [entry.seq for entry in history.entries(mission.pk) if entry.kind == Kind.DECIDED]


def test_all_that_came_of_a_decision_is_listed_with_where_to_roll_back_to(parent: Mission) -> None:
    first, second = decided(parent)
    fork = forks.fork(parent, second)
    found = resting.lineage(parent, first)
    assert [(one.how, len(one.effects), len(one.decisions)) for one in found.resting] == [
        ("itself", 1, 1), ("child", 1, 0), ("follower", 1, 1), ("fork", 0, 0),
    ]  # fmt: skip
    assert found.resting[0].back_to == first - 1
    assert found.resting[-1].mission.pk == fork.pk
    assert [entry.path for entry in found.rests_on] == ["corner.keyed#1"]
    assert found.counts == {"missions": 3, "effects": 3, "decisions": 2}
    later = resting.lineage(parent, second)
    assert [(one.how, len(one.effects)) for one in later.resting] == [("itself", 0), ("child", 1), ("follower", 1),
                                                                      ("fork", 0)]  # fmt: skip


def test_a_decision_is_marked_once_with_a_reason(parent: Mission) -> None:
    first, second = decided(parent)
    resting.mark(parent, second, reason="It read the wrong order.", by="olivia")
    with pytest.raises(AlreadyMarked):
        resting.mark(parent, second, reason="Again", by="sam")
    for reason in (" ", "a\x00b", "a" * 2001):
        with pytest.raises(InvalidInput):
            resting.mark(parent, first, reason=reason, by="olivia")
    with pytest.raises(NoSuchDecision):
        resting.mark(parent, 1, reason="That is no decision.", by="olivia")
    assert WrongMark.objects.count() == 1
    found = resting.lineage(parent, first)
    assert [(one.title, one.marked) for one in found.resting[0].decisions] == [("Second", True)]


def test_replay_asks_policy_nothing_again(parent: Mission) -> None:
    rules({"name": "never", "scope": {"decision_class": "*"}, "effect": "deny"})
    mission = begin(confidence=0.5)
    with live_worker.worker():
        live_worker.ended(mission)
    assert told(parent).count(Kind.DECIDED) == 2
    assert told(mission).count(Kind.DECIDED) == 1
