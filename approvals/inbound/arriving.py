"""An event arrives: proven, understood, done once.

Owns `take`. Promises: what the sender did not sign well does nothing and learns nothing; an event that counted counts
once, however often it comes; what was refused may come again, and is then understood anew. The arrival and its deed are
one transaction: whoever got no answer sends again, with the same result.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from approvals.inbound import deeds, hooks, mapping, signatures
from approvals.inbound.mapping import Content
from approvals.inbound.signatures import Message, Unsigned
from approvals.models.inbound import Arrival, ArrivalOutcome, Hook
from approvals.policies.formulas import FormulaFailed
from missions.engine.clock import database_now
from missions.errors import SecretMissing, StandfastError
from missions.web.parsers import read_object
from missions.web.problems import Problem, translate

logger = logging.getLogger(__name__)
BODY_BYTES = 1024 * 1024
STATUS_OF = {FormulaFailed.code: 422, deeds.NotAllowed.code: 403}
STRANGER = Content()  # what an event for no hook is measured against, so that it takes as long


class HookOff(StandfastError):
    """This hook is switched off; nothing was done."""

    code = "hook_off"


class BodyDiffers(StandfastError):
    """An event with this id came before with another body; nothing was done."""

    code = "key_reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of an event: its row, whether it came before, and the problem where it was refused."""

    arrival: Arrival
    repeated: bool = False
    problem: Problem | None = None


def take(name: str, headers: Mapping[str, str], body: bytes) -> Taken:
    """Take an event. Own transaction. Raises UnknownHook, HookOff, BodyDiffers."""
    message = Message({key.lower(): value for key, value in headers.items()}, body)
    hook, said, key = _proven(name, message)
    if not said.active:
        raise HookOff
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic():
        arrival = _arrived(hook, key, digest, len(body))
        if arrival.digest != digest:
            raise BodyDiffers
        if arrival.times > 1 and arrival.outcome != ArrivalOutcome.REFUSED:
            return Taken(arrival=arrival, repeated=True)
        arrival.number = hook.number
        return _done(hook, said, arrival, message)


def _proven(name: str, message: Message) -> tuple[Hook, Content, str]:
    """The hook, what it says, and what tells the event from others. Raises UnknownHook."""
    now = database_now()
    hook = Hook.objects.select_related("owner").filter(name=name).first()
    said = hooks.said_by(hook) if hook is not None else STRANGER
    try:
        known = hooks.secrets_of(hook or Hook(salt=name), said, now)
        key = signatures.key_of(message, said.scheme, said.header, known, now.timestamp(), said.tolerance_seconds)
    except (Unsigned, SecretMissing) as refused:
        if hook is not None:
            _note(hook, str(refused))
        raise hooks.UnknownHook from refused
    if hook is None:
        raise hooks.UnknownHook
    return hook, said, key


def _note(hook: Hook, why: str) -> None:
    """Count what was not signed: one row, however many try."""
    facts = {"action": "hook_unsigned", "hook": hook.name, "why": why}
    logger.warning("An event came without a good signature", extra=facts)
    Hook.objects.filter(pk=hook.pk).update(
        refusals=F("refusals") + 1, refused_at=database_now(), refused_why=why[:200]
    )


def _arrived(hook: Hook, key: str, digest: str, size: int) -> Arrival:
    """The event's row, locked until the end: of two at once, the second waits for what came of the first."""
    now = database_now()
    new = Arrival(hook=hook, key=key, digest=digest, size=size, number=hook.number, first_at=now, last_at=now)
    Arrival.objects.bulk_create([new], ignore_conflicts=True)
    arrival = Arrival.objects.select_for_update().get(hook=hook, key=key)
    arrival.times, arrival.last_at = arrival.times + 1, now
    arrival.save(update_fields=["times", "last_at"])
    return arrival


def _done(hook: Hook, said: Content, arrival: Arrival, message: Message) -> Taken:
    """Do what the event means; a refusal undoes the deed and stays on record."""
    new = True
    try:
        with transaction.atomic():
            deed = mapping.deed(said, read_object(message.body), dict(message.headers))
            if deed is None:
                _keep(arrival, ArrivalOutcome.IGNORED)
            else:
                new = deeds.do(deed, hook, arrival.key, lambda outcome, uid: _keep(arrival, outcome, mission=uid))
    except (StandfastError, Problem) as refused:
        problem = translate(refused)
        problem.status_code = STATUS_OF.get(problem.code, problem.status_code)
        _keep(arrival, ArrivalOutcome.REFUSED, code=problem.code, why=problem.text or problem.title)
        return Taken(arrival=arrival, problem=problem)
    facts = {"action": "hook_taken", "hook": hook.name, "outcome": arrival.outcome, "mission": str(arrival.mission)}
    logger.info("An event was taken", extra=facts)
    return Taken(arrival=arrival, repeated=not new)


def _keep(arrival: Arrival, outcome: ArrivalOutcome, *, code: str = "", why: str = "", mission: object = None) -> None:
    arrival.outcome, arrival.code, arrival.why = outcome, code[:40], why.replace("\x00", "")[:500]
    arrival.mission = mission  # type: ignore[assignment]
    arrival.save(update_fields=["outcome", "code", "why", "mission", "number"])
