"""Asking people about a tool that its server offers differently than it was accepted: one decision for all missions.

The engine sets the alarms `tool_form.ask` and `tool_form.moot` in the transaction in which the form is blocked, or was
decided on elsewhere (the tools page), so no crash comes between. Handlers may run again: each looks at the rows first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from approvals import queue, resolution, settling
from approvals.models import Decision, DecisionKind, DecisionState
from missions.engine import alarms, codec, tool_forms
from missions.models import FormState, Mission, ToolForm
from missions.tools import forms
from missions.visibility import unrestricted

NAMESPACE = uuid.UUID("8d0f6a1e-7f0d-4a53-9a5d-6d1c3a1e5b77")
TIERS = ({"group": "policy-admins", "quorum": 1},)
SHOWN = 5  # of the missions that wait
LEAVES_OPEN = (DecisionState.WITHDRAWN, DecisionState.SUPERSEDED)


def decision_id(form_id: int, round: int) -> uuid.UUID:
    """The id of a question: the same whichever worker opens it."""
    return uuid.uuid5(NAMESPACE, f"{form_id}/{round}")


@alarms.handler("tool_form.ask")
def ask(subject: str, nominal_at: dt.datetime) -> None:
    """Open the decision, where the form still waits for it."""
    form_id, round = _parts(subject)
    row = ToolForm.objects.filter(pk=form_id, asked=round, state=FormState.WAITING).first()
    if row is not None:
        _open(row)


@alarms.handler("tool_form.moot")
def withdraw(subject: str, nominal_at: dt.datetime) -> None:
    """Close the decision: people have decided on the form elsewhere."""
    decision = resolution.locked(decision_id(*_parts(subject)))
    if decision is not None and decision.is_open:
        resolution.withdraw(decision, "It was decided on the tools page.")


@settling.on_settled(DecisionKind.TOOL_CHANGE)
def settled(decision: Decision) -> None:
    """Let the form have its answer; whatever is no approval keeps it blocked."""
    row = ToolForm.objects.select_for_update().filter(pk=decision.facts["form"]).first()
    still = row is not None and row.state == FormState.WAITING and row.asked == decision.facts["round"]
    if row is None or not still or decision.state in LEAVES_OPEN:
        return
    answer = decision.resolution or {}
    by, reason = ", ".join(answer.get("by", ())) or "nobody in time", str(answer.get("comment", ""))
    act = tool_forms.accept if decision.state == DecisionState.APPROVED else tool_forms.refuse
    act(row.pk, by=by, reason=reason)


def _parts(subject: str) -> tuple[int, int]:
    form, _, round = subject.partition("/")
    return int(form), int(round)


def _open(row: ToolForm) -> None:
    accepted = ToolForm.objects.filter(tool=row.tool, state=FormState.ACCEPTED).first()
    sentence = f"The server {row.server} offers the tool {row.tool} differently than it was accepted: use it as it is?"
    decision, created = Decision.objects.get_or_create(pk=decision_id(row.pk, row.asked), defaults={
        "kind": DecisionKind.TOOL_CHANGE, "sentence": sentence[: queue.SENTENCE_LENGTH],
        "path": f"tool/{row.tool}#{row.asked}",
        "action": {"tool": "", "args": {}, "effect_class": "write", "args_schema": {}},
        "facts": _facts(row, accepted), "reversibility": "reversible", "risk": "high", "evidence": _waiting(row),
        "digest": codec.digest_of({"tool": row.tool, "form": row.digest, "round": row.asked}),
        "reason": "A tool that has changed since it was accepted is blocked until people have looked at it.",
        "rules": ["tool_changed"],
    })  # fmt: skip
    if created:
        queue.put_before_people(decision, TIERS)


def _facts(row: ToolForm, accepted: ToolForm | None) -> dict[str, Any]:
    return {
        "form": row.pk, "round": row.asked, "server": row.server, "changed_tool": row.tool,
        "form_changes": forms.differences(accepted.form if accepted else {}, row.form),
        "missions_waiting": row.waits.count(),
    }


def _waiting(row: ToolForm) -> list[dict[str, Any]]:
    """Some of the missions whose calls wait; those that are restricted to some groups are left out."""
    ids = row.waits.order_by("pk").values_list("mission_id", flat=True)[:SHOWN]
    missions = Mission.objects.select_related("brief").filter(pk__in=list(ids)).filter(unrestricted(set()))
    return [{"title": mission.brief.title, "mission": str(mission.uid)} for mission in missions]
