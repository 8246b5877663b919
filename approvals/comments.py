"""The thread of a decision: remarks that decide nothing, kept in order and never changed.

Anybody who may see a decision may write in its thread, also once it is settled; the caller checks that they may.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from approvals import resolution
from approvals.models import Comment, Decision
from approvals.outbound import events
from approvals.refusals import BadVote, UnknownDecision

TEXT_LENGTH, AGENT_LENGTH, KEY_LENGTH = 4000, 100, 200
MOST = 1000  # in one thread; a page shows the last of them


def add(decision_id: uuid.UUID, author: User, text: str, *, agent: str = "", key: str | None = None) -> Comment:
    """Write a remark; `agent` names the agent that wrote it in this person's name. The same key again adds nothing.

    Own transaction, under the decision's row lock, so that a thread has one order. Raises UnknownDecision, BadVote.
    """
    errors = list(_errors(text, agent, key))
    if errors:
        raise BadVote(errors)
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None:
            raise UnknownDecision
        known = Comment.objects.filter(decision=decision, author=author, key=key).first() if key else None
        if known is not None:
            return known
        if decision.comments.count() >= MOST:
            raise BadVote([{"field": "text", "message": f"A thread has at most {MOST:,} comments."}])
        made = Comment.objects.create(
            decision=decision, mission_id=decision.mission_id, author=author, agent=agent, text=text.strip(), key=key,
        )
        events.emit("decision.comment", decision=decision, facts={"by": author.username})
        resolution.announce(decision)
    made.refresh_from_db()
    return made


def _errors(text: str, agent: str, key: str | None) -> list[dict[str, str]]:
    found = []
    if not text.strip():
        found.append({"field": "text", "message": "Write something."})
    for field, value, limit in (("text", text, TEXT_LENGTH), ("agent", agent, AGENT_LENGTH), ("key", key, KEY_LENGTH)):
        if value and (len(value) > limit or "\x00" in value):
            found.append({"field": field, "message": f"At most {limit:,} characters, none of them NUL."})
    return found


def thread(decision: Decision) -> QuerySet[Comment]:
    """The remarks in order, with their authors."""
    return Comment.objects.filter(decision=decision).select_related("author").order_by("pk")
