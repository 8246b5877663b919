"""Attributes such as `owner.manager`: whom they lead to, and who stands in where they lead to nobody.

Looked up when a tier opens and again before each vote, under the decision's lock; each finding stays on the seat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.auth.models import User

from approvals import audience, quorum
from approvals.models import Decision, Profile, TierApprover
from approvals.plans import Approver
from missions.engine.clock import database_now

ATTRIBUTE = re.compile(r"(owner|requester)((?:\.manager){1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Who sits in a seat now: a group, a person, or neither."""

    group: str = ""
    person: User | None = None
    why: str = ""


def find(spec: Approver, decision: Decision) -> Found:
    """Who an approver is now. An attribute never leads to who is behind the request; its fallback stands in then."""
    if spec.group:
        return Found(group=spec.group)
    if spec.person:
        return Found(person=User.objects.filter(username=spec.person).first())
    person, why = _led_to(spec.attribute, decision)
    if person is not None:
        return Found(person=person, why=why)
    if spec.fallback is None:
        return Found(why=why)
    stand_in = find(spec.fallback, decision)
    return Found(group=stand_in.group, person=stand_in.person, why=f"{why} So {spec.fallback.label} stands in.")


def _led_to(attribute: str, decision: Decision) -> tuple[User | None, str]:
    """The person at the end of the path, or None, and why."""
    path = ATTRIBUTE.fullmatch(attribute)
    if path is None:
        return None, f"{attribute or 'It'} is no attribute that is known."
    user = _start(path[1], decision)
    for _ in range(path[2].count(".manager")):
        profile = Profile.objects.select_related("manager").filter(user=user).first() if user else None
        user = profile.manager if profile else None
    if user is None:
        return None, f"{attribute} leads to nobody."
    if not user.is_active:
        return None, f"{attribute} is {user}, whose account is not active."
    if user.pk in quorum.askers(decision):
        return None, f"{attribute} is {user}, who is behind the request."
    return user, f"{attribute} is {user}."


def _start(name: str, decision: Decision) -> User | None:
    if name == "requester":
        return decision.requested_by
    mission = decision.mission
    return mission.brief.started_by if mission is not None and hasattr(mission, "brief") else None


def seat(decision: Decision, approver: TierApprover) -> bool:
    """Put into a seat who belongs there now; whether that is another than before. The caller holds the decision."""
    found = find(Approver.from_json(approver.spec), decision)
    person = found.person.pk if found.person else None
    told = not approver.resolved and bool(found.why)
    if (found.group, person) == (approver.group, approver.person_id) and not told:
        return False
    approver.group, approver.person = found.group, found.person
    who = {"group": found.group} if found.group else {"person": found.person.get_username() if found.person else ""}
    approver.resolved = [*approver.resolved, {**who, "why": found.why, "at": database_now().isoformat()}]
    approver.save(update_fields=["group", "person", "resolved"])
    return True


def look_again(decision: Decision) -> bool:
    """Look the attributes of the open tiers up anew; whether somebody else sits there now, who then may see it too.

    The caller holds the decision's lock.
    """
    seats = TierApprover.objects.filter(decision=decision, tier__state="open", spec__has_key="attribute")
    changed = sum(seat(decision, one) for one in seats.select_related("person")) > 0
    if changed:
        audience.refresh(decision)
    return changed
