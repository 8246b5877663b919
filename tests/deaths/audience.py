"""What people do in a scene: answer, signal, steer. Each look does what is wanted now; the same thing is done once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from django.contrib.auth.models import Group, User

from approvals import votes
from approvals.models import Decision, DecisionKind, DecisionState, TierState
from approvals.refusals import VoteRefused
from missions.engine import controls, history, mailbox, resources
from missions.engine.resources import Change
from missions.errors import ControlRefused, MissionEnded
from missions.models import Kind, Mission, Signal, State
from tests.deaths import world
from tests.deaths.scene import Scene

NEVER = "Never"  # how a question begins that nobody answers
RESUMES = 4  # then a mission that pauses again and again is left alone
GROUPS = ("supervisors", "operators")


def gather() -> None:
    """Have the people that decide."""
    for group in GROUPS:
        User.objects.create_user(group).groups.add(Group.objects.get_or_create(name=group)[0])


def attend(scene: Scene, missions: Iterable[Mission]) -> None:
    """Do what these missions of a scene wait for."""
    for mission in missions:
        _extend(mission)
        for decision in Decision.objects.filter(mission_id=mission.pk, state=DecisionState.OPEN):
            if "amend" in scene.people and decision.sentence.startswith(NEVER):
                _amend(mission)
            elif scene.overtakes and decision.kind == DecisionKind.ROLLBACK:
                _overtake(scene, mission)
            else:
                answer(scene, decision, mission)
        with contextlib.suppress(MissionEnded, ControlRefused):  # it has gone on; the next look sees where
            _steer(scene, mission)


def _extend(mission: Mission) -> None:
    """Allow more of the period budgets of its type."""
    named = mission.type.replace(".", "-")
    for decision in Decision.objects.filter(mission=None, kind=DecisionKind.BUDGET, state=DecisionState.OPEN):
        if decision.facts["budget"].endswith(named):
            with contextlib.suppress(VoteRefused):
                votes.cast(
                    decision.pk, User.objects.get(username=GROUPS[0]), "approve", decision.digest, choice="extend",
                    channel="api",
                )


def _amend(mission: Mission) -> None:
    """Another goal, once, while it asks for leave."""
    with contextlib.suppress(MissionEnded, ControlRefused):
        controls.request(mission.pk, "amend", by="people", key="amend", goal="Do without.")


def _overtake(scene: Scene, mission: Mission) -> None:
    with contextlib.suppress(MissionEnded, ControlRefused):
        controls.request(mission.pk, scene.overtakes, by="people", key="overtake")


def answer(scene: Scene, decision: Decision, mission: Mission) -> None:
    """Vote on an open decision as somebody who knows what has happened."""
    if decision.sentence.startswith(NEVER):
        return
    tier = decision.tiers.filter(state=TierState.OPEN).first()
    if tier is None:
        return
    verdict, more = "approve", _choice(scene, decision, mission)
    if decision.kind == DecisionKind.BUDGET and "effect" in decision.sentence:
        verdict = "reject"
    with contextlib.suppress(VoteRefused):  # settled or withdrawn meanwhile
        votes.cast(
            decision.pk, User.objects.get(username=tier.group), verdict, decision.digest, channel="api",
            comment="As seen.", **more,
        )


def _choice(scene: Scene, decision: Decision, mission: Mission) -> dict[str, str]:
    values = [choice["value"] for choice in decision.choices]
    if decision.answers.get("form") == "text":
        return {"answer": "As seen."}
    asked_before = Decision.objects.filter(mission_id=mission.pk).exclude(pk=decision.pk).exists()
    if scene.chooses in values and not asked_before:
        return {"choice": scene.chooses}
    if "happened" in values:
        happened = world.is_done(str(mission.uid), decision.facts["key"])
        return {"choice": "happened", "reference": "seen"} if happened else {"choice": "retry"}
    if "accept" in values:  # the code has changed for one attempt; who insists on the record waits for that to pass
        return {"choice": "accept" if asked_before else "retry"}
    return {"choice": next((value for value in ("extend", "adopt") if value in values), values[0])} if values else {}


def _steer(scene: Scene, mission: Mission) -> None:
    if mission.control_seq > mission.control_done or mission.owner is not None:
        return
    waits = Decision.objects.filter(mission_id=mission.pk, state=DecisionState.OPEN).exists()
    given = Signal.objects.filter(mission_id=mission.pk, sender="people").count()
    if mission.state == State.PAUSED and not waits:
        if Signal.objects.filter(mission_id=mission.pk, key__startswith="resume").count() < RESUMES:
            controls.request(mission.pk, "resume", by="people", key=f"resume-{mission.head_seq}")
    elif mission.state == State.FAILED and "retry" in scene.people and mission.timeline == 1:
        controls.request(mission.pk, "retry", by="people", key="retry")
    elif mission.waits_for == "signal:end" and mission.deadline_at is not None:
        if Signal.objects.filter(mission_id=mission.pk, name="control").exists():
            mailbox.deliver(mission.pk, "end", {}, key="end", sender="people")
    elif mission.waits_for.startswith("mcp:"):
        resources.tell(Change(server="stage", resource="state://it", digest="after", told={"digest": "after"}))
    elif mission.waits_for == "signal:go":
        _let_go(scene, mission, given)


def _let_go(scene: Scene, mission: Mission, given: int) -> None:
    """One after the other of the controls of the scene, then the signals that it waits for."""
    for verb in scene.people:
        if verb in ("retry", "amend") or Signal.objects.filter(mission_id=mission.pk, key=verb).exists():
            continue
        facts = {"to": _first_step(mission)} if verb == "rollback" else {}
        controls.request(mission.pk, verb, by="people", key=verb, **facts, **_compensating(verb))
        return
    mailbox.deliver(mission.pk, "go", {}, key=f"go-{mission.head_seq}", sender="people")


def _compensating(verb: str) -> dict[str, bool]:
    return {"compensate": True} if verb == "cancel" else {}


def at_once(scene: Scene, mission: Mission) -> None:
    """The control that comes when the first worker has died."""
    if scene.at_once:
        controls.request(mission.pk, scene.at_once, by="people", key="at-once", **_compensating(scene.at_once))


def _first_step(mission: Mission) -> int:
    return next(entry.seq for entry in history.entries(mission.pk) if entry.kind == Kind.STEP)
