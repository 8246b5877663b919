"""Factories of what the rail merges: votes and takeovers beside a mission's journal, and whole stories."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Decision, Vote
from missions.models import Kind, Mission, State, Takeover
from tests import decisions, parcels

ACTION = {"tool": "parcels.send", "title": "Send a parcel", "sentence": "Send the parcel to 1 High Street"}
# For another connection than Django's: a row of the rail that the test commits when it likes.
TAKEOVER = "insert into missions_takeover (mission_id, attempt, lost_worker, freed_by) values (%s, %s, 1, 2)"


def vote(decision: Decision, voter: User, group: str, **fields: Any) -> Vote:
    """A vote as the queue writes it, without what else a vote does."""
    tier = decision.tiers.get(group=group)
    values = {"verdict": "approve", "digest": decision.digest, "channel": "console", **fields}
    return Vote.objects.create(decision=decision, tier=tier, mission_id=decision.mission_id, voter=voter, **values)


def takeover(mission: Mission, attempt: int = 1) -> Takeover:
    """A takeover as the taker writes it."""
    return Takeover.objects.create(mission_id=mission.pk, attempt=attempt, lost_worker=7, freed_by=8)


def running(by: User | None = None, **options: Any) -> Mission:
    """A mission of attempt 1 that a worker runs."""
    with transaction.atomic():  # whoever hears of it finds it running
        mission = parcels.mission(by, **options)
        mission.state, mission.attempt, mission.wake_at = State.RUNNING, 1, None
        mission.save()
    return mission


def asking(mission: Mission) -> Decision:
    """Let a running mission ask supervisors, then finance, and wait for the answer."""
    tiers = (decisions.SUPERVISORS, decisions.FINANCE)
    sentence = str(ACTION["sentence"])
    decision = decisions.opened(mission, *tiers, sentence=sentence, path="parcels.send#1")
    told = [{"group": tier["group"], "quorum": tier["quorum"]} for tier in tiers]
    ruling = {**ACTION, "outcome": "escalate", "reason": "Parcels cost money.", "phase": "plan", "tiers": told,
              "policy_version": "parcels v1", "rules": ["paid"]}  # fmt: skip
    asked = {**ACTION, "decision": str(decision.pk), "digest": decision.digest, "tiers": told, "round": 1}
    parcels.append(mission, Kind.RULING, ruling, path="parcels.send#1")
    parcels.append(mission, Kind.ASKED, asked, path="parcels.send#1")
    mission.state, mission.waits_for, mission.waits_since = State.WAITING, f"decision:{decision.pk}", decision.opened_at
    mission.save()
    return decision


def approved_story(by: User, sam: User, fiona: User) -> Mission:
    """A mission that looked up, was taken over, asked two tiers, acted once and ended: every source, one order."""
    mission = running(by)
    look_up = {"tool": "parcels.get", "title": "Look up the parcel", "effect_class": "read"}
    parcels.append(mission, Kind.RULING, {**look_up, "outcome": "allow", "reason": "Reads are allowed."})
    parcels.append(mission, Kind.OUTCOME, {**look_up, "state": "done", "result": {"weight": 3}})
    takeover(mission)
    parcels.append(mission, Kind.STEP, {"name": "weigh", "title": "Weigh the parcel", "result": 3}, path="weigh#1")
    decision = asking(mission)
    vote(decision, sam, "supervisors", comment="Fine")
    takeover(mission, attempt=2)
    vote(decision, fiona, "finance")
    answer = {"verdict": "approved", "by": ["sam", "fiona"], "digest": decision.digest}
    parcels.append(mission, Kind.ANSWERED, {"decision": str(decision.pk), "answer": answer})
    parcels.append(mission, Kind.INTENT, {**ACTION, "key": "k", "effect_class": "write"}, path="parcels.send#1")
    parcels.append(mission, Kind.OUTCOME, {**ACTION, "state": "done", "effect_class": "write", "reference": "P-1"})
    parcels.append(mission, Kind.COMPLETED, {"verdict": "sent", "summary": "Sent it.", "data": {}})
    return mission
