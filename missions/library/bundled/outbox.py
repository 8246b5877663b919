"""The rows of `email.send`: one for each key, from just before a message is the server's to take.

Synchronous verbs, each with a transaction of its own. A row is written by the call, and by the probe where there was
none; whoever comes first, wins, so that a late call sends nothing that was declared as not sent.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import transaction

from missions.authoring import OutcomeUnknown, ProbeResult, ToolCall, ToolFailed
from missions.engine.threads import closing
from missions.models import Handed, OutgoingMail


def in_thread(probe: Callable[..., ProbeResult]) -> Callable[..., Awaitable[ProbeResult]]:
    """A probe that asks the database, for the event loop that calls it."""

    @functools.wraps(probe)
    async def run(call: ToolCall, **args: Any) -> ProbeResult:
        return await asyncio.to_thread(closing, functools.partial(probe, call, **args))

    return run


def sent(call: ToolCall) -> dict[str, Any] | None:
    """What the call answered, where it was sent under this key before."""
    row = OutgoingMail.objects.filter(pk=call.idempotency_key, state=Handed.SENT).first()
    return row.result if row is not None else None


def hand_over(call: ToolCall, message_id: str) -> None:
    """Commit that the server is about to have it. Raises OutcomeUnknown, ToolFailed where it may not."""
    wanted = {"state": Handed.HANDING, "deadline_at": call.deadline, "message_id": message_id}
    with transaction.atomic():
        rows = OutgoingMail.objects.select_for_update()
        row, is_new = rows.get_or_create(pk=call.idempotency_key, defaults=wanted)
        if is_new:
            return
        if row.state != Handed.VOID:
            raise OutcomeUnknown(f"It was handed over before, as {row.message_id}.")
        if call.deadline <= row.deadline_at:
            raise ToolFailed("This call was given up before it sent anything.", code="given_up")
        rows.filter(pk=row.pk).update(**wanted)


def taken(call: ToolCall, result: dict[str, Any]) -> dict[str, Any]:
    """Keep that the server took it; the result."""
    OutgoingMail.objects.filter(pk=call.idempotency_key).update(state=Handed.SENT, result=result)
    return result


def not_taken(call: ToolCall) -> None:
    """The server said no to what was handed over: as if it never had been."""
    OutgoingMail.objects.filter(pk=call.idempotency_key, state=Handed.HANDING).delete()


def look_up(call: ToolCall) -> ProbeResult:
    """What is known under this key; where that is nothing, calls made until now send nothing any more."""
    void = {"state": Handed.VOID, "deadline_at": call.deadline}
    with transaction.atomic():
        rows = OutgoingMail.objects.select_for_update()
        row, _ = rows.get_or_create(pk=call.idempotency_key, defaults=void)
        if row.state == Handed.VOID:
            rows.filter(pk=row.pk, deadline_at__lt=call.deadline).update(deadline_at=call.deadline)
    if row.state == Handed.SENT:
        return ProbeResult(found=True, result=row.result, reference=row.message_id)
    if row.state == Handed.VOID:
        return ProbeResult(found=False, detail="It was never handed to the mail server.")
    why = f"It was handed to the mail server, which was not heard to take it. Look for Message-ID {row.message_id}."
    return ProbeResult(found=None, detail=why, final=True)
