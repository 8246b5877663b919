"""The decision queue: opening, claiming, releasing and withdrawing decisions.

Each verb owns its transaction. Lock order, here and everywhere: decisions by id, then missions by id, then the rest.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q

from approvals import carrying, exposure, likeness, quorum, resolution
from approvals.models import Decision, DecisionKind, DecisionState, PolicyChange
from approvals.outbound import events
from approvals.plans import plans_of
from approvals.refusals import BadVote, NotEligible, UnknownDecision
from approvals.votes import not_open
from missions.engine import codec
from missions.engine.clock import database_now
from missions.engine.record import OF_CONTROLS
from missions.errors import MissionEnded, UnknownTool
from missions.governance import Answer, DecisionRequest
from missions.tools.registry import get_tool
from missions.tools.spec import ToolSpec

logger = logging.getLogger(__name__)

SENTENCE_LENGTH, PATH_LENGTH, VERSION_LENGTH = 500, 500, 120
CONTENT_BYTES = 1024 * 1024  # args, evidence and facts together; beyond it nobody could read what they approve
CLAIM = dt.timedelta(minutes=15)
REASON_LENGTH = 4000
ENGINES_OWN = (
    DecisionKind.IN_DOUBT, DecisionKind.STANDING, DecisionKind.ROLLBACK, DecisionKind.DIVERGENCE, DecisionKind.BUDGET,
    DecisionKind.TOOL_CHANGE,
    DecisionKind.POLICY_CHANGE,  # of a version, which is taken out of review by its own verb
)

HOLD_ATTEMPT = "select chapter from missions_mission where id = %s and attempt = %s for share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A running lease: it tells others that someone looks at it, and stops nobody."""

    until: dt.datetime
    taken_from: str = ""  # who held it until now


def open_decision(request: DecisionRequest) -> Answer | None:
    """Put a request before people, or find it there: its answer once it is settled, else None.

    Own transaction. The same request again changes nothing. Another request at the same place of the mission
    (`facts["path"]`) supersedes the one that is open there. Where the mission's attempt is no longer the request's,
    nothing happens: the asker was fenced, and whoever took over asks again. Raises PayloadTooLarge.
    """
    codec.dump([request.intent.args, request.evidence, request.facts], limit=CONTENT_BYTES)
    with transaction.atomic():
        rivals = _lock_place(request)
        chapter = _hold_attempt(request)
        if chapter is None:
            return None
        decision = next((rival for rival in rivals if rival.pk == request.id), None)
        if decision is None:
            decision = _create(request, chapter)
        elif decision.is_open and decision.asked_digest != request.digest:
            resolution.supersede(decision, None, "What is asked has changed.")
        for rival in rivals:
            if rival.pk != decision.pk and rival.is_open:
                resolution.supersede(rival, decision, "The mission asks something else instead.")
            elif str(rival.pk) == request.facts.get("supersedes") and rival.superseded_by_id is None:
                rival.superseded_by = decision
                rival.save(update_fields=["superseded_by"])
    return resolution.answer_for_mission(decision)


def _path(request: DecisionRequest) -> str:
    return str(request.facts.get("path", ""))[:PATH_LENGTH]


def _lock_place(request: DecisionRequest) -> list[Decision]:
    """The decision itself, those open at the same place and on timelines left behind; locked before the mission."""
    of_mission = Q(mission_id=request.mission_id, state=DecisionState.OPEN)
    place = Q(pk=request.id) | of_mission & Q(timeline__lt=request.timeline)
    if before := str(request.facts.get("supersedes") or ""):  # an approval that was taken back at this place
        place |= Q(mission_id=request.mission_id, pk=before)
    if path := _path(request):  # without a place there are no rivals on this timeline: branches ask side by side
        place |= of_mission & Q(timeline=request.timeline, path=path)
    return list(Decision.objects.select_for_update().filter(place).order_by("pk"))


def _hold_attempt(request: DecisionRequest) -> int | None:
    """The mission's chapter while its attempt is still the request's, kept so until commit; else None."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD_ATTEMPT, [request.mission_id, request.attempt])
        row = cursor.fetchone()
    return row[0] if row else None


def _create(request: DecisionRequest, chapter: int) -> Decision:
    """Write the decision and its tiers. A concurrent opening of the same id is waited for and taken as it is."""
    decision, created = Decision.objects.get_or_create(pk=request.id, defaults=content(request, chapter))
    if created:
        put_before_people(decision, request.ruling.tiers)
    return decision


def put_before_people(decision: Decision, asked: Iterable[dict[str, Any]]) -> None:
    """Open the tiers of a new decision, and tell those who can vote. Joins the caller's transaction."""
    carrying.create(decision, plans_of(asked))
    resolution.announce(decision)
    events.emit("decision.opened", decision=decision)
    facts = {"action": "decision_opened", "decision": str(decision.pk), "kind": decision.kind}
    logger.info("A decision waits for people", extra=facts)


def content(request: DecisionRequest, chapter: int) -> dict[str, Any]:
    """The fields of a decision's row, as `request` asks for it."""
    intent, tool, sentence = request.intent, _tool(request.intent.tool), _shortened(request.sentence)
    reach = exposure.assess(request.kind, intent)
    return {
        "kind": request.kind, "mission_id": request.mission_id, "timeline": request.timeline, "chapter": chapter,
        "path": _path(request), "sentence": sentence, "digest": request.digest,
        "asked_digest": request.digest, "answers": request.answers, "tool": intent.tool,
        "mission_type": intent.mission_type, "searched": likeness.searched(sentence, intent.mission_title),
        "subject": likeness.subject_of(intent.args), "band": likeness.band_of(reach.blast),
        "hold_seconds": request.ruling.hold_seconds,
        "demands": list(request.ruling.evidence),
        "action": {
            "tool": intent.tool, "args": intent.args, "effect_class": str(intent.effect_class),
            "args_schema": tool.args_schema if tool else {},
        },
        "choices": [asdict(choice) for choice in request.choices], "evidence": list(request.evidence),
        "facts": {
            **request.facts, "agent": intent.agent, "clearance": list(intent.clearance),
            "tool_title": tool.title if tool else "", "compensate": tool.compensate if tool else "",
            "unevaluated": request.ruling.unevaluated,
            **({"untrusted": list(intent.untrusted)} if intent.untrusted else {}),
        },
        "reversibility": reach.reversibility, "blast": reach.blast, "risk": reach.risk,
        "policy_version": request.ruling.policy_version[:VERSION_LENGTH], "rules": list(request.ruling.rules),
        "reason": request.ruling.reason, "requested_by_id": intent.owner_id,
    }


def _tool(name: str) -> ToolSpec | None:
    """The tool as this process knows it; a decision need not be about one."""
    try:
        return get_tool(name) if name else None
    except UnknownTool:
        return None


def _shortened(sentence: str) -> str:
    plain = " ".join(sentence.replace("\x00", "").split())
    return plain if len(plain) <= SENTENCE_LENGTH else plain[: SENTENCE_LENGTH - 1] + "…"


def claim(decision_id: uuid.UUID, user: User) -> Claim:
    """Take the lease of an open decision for 15 minutes, from whoever holds it; again renews it.

    Own transaction. Raises UnknownDecision, NotOpen, NotEligible (only those who may vote now may claim).
    """
    with transaction.atomic():
        decision = _open(decision_id)
        if refusal := quorum.why_not(user, decision):
            raise NotEligible(refusal)
        now = database_now()
        held = decision.holder(now)
        decision.claimed_by, decision.claimed_until = user, now + CLAIM
        decision.save(update_fields=["claimed_by", "claimed_until"])
        resolution.announce(decision)
    return Claim(until=now + CLAIM, taken_from=held.get_username() if held and held.pk != user.pk else "")


def release(decision_id: uuid.UUID, user: User) -> bool:
    """Give the lease back; False where this person does not hold it.

    Own transaction. Raises UnknownDecision, NotOpen.
    """
    with transaction.atomic():
        decision = _open(decision_id)
        if decision.claimed_by_id != user.pk:
            return False
        decision.claimed_by = decision.claimed_until = None
        decision.save(update_fields=["claimed_by", "claimed_until"])
        resolution.announce(decision)
    return True


def withdraw(decision_id: uuid.UUID, why: str = "The mission has ended.") -> bool:
    """Close a decision whose answer nobody needs any more; False where it was settled or never opened.

    Own transaction.
    """
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None or not decision.is_open:
            return False
        resolution.withdraw(decision, why)
    return True


def withdraw_own(decision_id: uuid.UUID, user: User, reason: str) -> None:
    """Take back what one asked for; a mission that waits is told, and goes on as after a refusal.

    Own transaction; the mission's mailbox is the last row that it touches. Raises UnknownDecision, NotOpen,
    NotEligible, BadVote.
    """
    if not reason.strip() or len(reason) > REASON_LENGTH or "\x00" in reason:
        raise BadVote([{"field": "reason", "message": f"Say why, in at most {REASON_LENGTH:,} characters."}])
    with transaction.atomic():
        decision = _open(decision_id)
        if refusal := why_not_withdraw(decision, user):
            raise NotEligible(refusal)
        resolution.withdraw(decision, reason.strip())
        try:
            with transaction.atomic():
                resolution.tell_mission(decision, sender=user.get_username())
        except MissionEnded as ended:  # nobody is left to be told
            logger.info("A withdrawal came after the end", extra={"action": "withdrawn_late", "why": str(ended)})


def why_not_withdraw(decision: Decision, user: User) -> str | None:
    """Why this person may not withdraw it; None where they may."""
    if (decision.kind in ENGINES_OWN and not _asks_for_a_mode(decision)) or decision.path.startswith(OF_CONTROLS):
        return "Standfast asks this by itself and needs one of the choices."
    asked = {decision.requested_by_id}
    if decision.mission is not None:
        asked.add(decision.mission.brief.started_by_id)
    return None if user.is_active and user.pk in asked else "Only who asked may withdraw it."


def _asks_for_a_mode(decision: Decision) -> bool:
    """Whether it asks for another mode: unlike a version, a mode has no page from which it is taken back."""
    return PolicyChange.objects.filter(decision=decision, version=None).exists()


def _open(decision_id: uuid.UUID) -> Decision:
    """The decision under its lock. Raises UnknownDecision, NotOpen."""
    decision = resolution.locked(decision_id)
    if decision is None:
        raise UnknownDecision
    if not decision.is_open:
        raise not_open(decision)
    return decision
