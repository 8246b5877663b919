"""The trail of a policy: what happened to it, by whom and why, each link hashed over the one before.

Promises: appended only (trigger), without gaps. Who appends holds the policy's row lock, so that one link follows the
other. Proves order and wholeness of what is there; a tail that was cut off by a database superuser is not found here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from approvals.models import Decision, Policy, PolicyEvent, PolicyVersion
from missions.engine import codec
from missions.engine.clock import database_now

GENESIS: Final = "0" * 64
WHY_CHARACTERS: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """Who acts, and through what."""

    by: User | None = None
    through: str = ""  # console, api, command line …


def record(
    policy: Policy, what: str, via: Via, *, version: PolicyVersion | None = None, decision: Decision | None = None,
    why: str = "", **facts: Any,
) -> PolicyEvent:
    """Append an event. The caller holds the policy's row lock, inside its transaction."""
    last = policy.events.order_by("-seq").first()
    event = PolicyEvent(
        policy=policy, seq=last.seq + 1 if last else 1, what=what, version=version, decision=decision,
        by=via.by.get_username() if via.by else "", via=via.through[:200], why=why[:WHY_CHARACTERS], facts=facts,
        at=database_now(),
    )
    event.link = _link(last.link if last else GENESIS, event)
    event.save(force_insert=True)
    return event


def broken_at(policy: Policy) -> int | None:
    """The seq of the first event that does not follow from the one before; None where the chain is whole."""
    link = GENESIS
    for seq, event in enumerate(policy.events.order_by("seq"), start=1):
        if event.seq != seq or event.link != _link(link, event):
            return seq
        link = event.link
    return None


def _link(previous: str, event: PolicyEvent) -> str:
    return codec.digest_of([
        previous, event.policy_id, event.seq, event.what, event.version_id,
        str(event.decision_id) if event.decision_id else None, event.by, event.via, event.why, event.facts,
        event.at.astimezone(dt.UTC).isoformat(),
    ])  # fmt: skip
