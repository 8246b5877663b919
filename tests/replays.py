"""A past to replay policies on: missions with rulings in their journals, and how people decided them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from approvals.models import Decision, PolicyVersion
from approvals.policies import document, versions
from approvals.simulation import closing, replaying
from approvals.simulation.windows import Window
from missions.governance import EffectClass, Intent, RetrySafety, Ruling, RulingOutcome
from missions.identity import uuid7
from missions.models import EffectState, Entry, Kind, Mission
from tests import parcels
from tests.policies import row

PATH = "payments.refund#1"
SUPERVISORS = {"group": "supervisors", "quorum": 1, "sla_seconds": None, "expires_seconds": None, "on_expiry": "hold"}
REFUNDS = {"tool": "payments.refund"}


def in_force(*rows: dict[str, Any], name: str = "refunds", mode: str = "enforce") -> PolicyVersion:
    """A version of these rules, in force."""
    return versions.load(document.check({"name": name, "mode": mode, "rules": list(rows)}), activate=True).version


def draft(*rows: dict[str, Any], name: str = "refunds") -> PolicyVersion:
    """A version of these rules that binds nothing."""
    return versions.load(document.check({"name": name, "rules": list(rows)})).version


def over(amount: str, effect: str = "escalate", **fields: Any) -> dict[str, Any]:
    """A rule on refunds above an amount."""
    return row(f"over-{amount.partition('.')[0]}-{effect}", effect, f"double(args.amount) > {amount}", scope=REFUNDS,
               **fields)  # fmt: skip


def allowed() -> dict[str, Any]:
    """A rule that allows all refunds that no other rule speaks of."""
    return row("refunds", "allow", scope=REFUNDS)


def mission(by: User | None = None, **fields: Any) -> Mission:
    """A mission whose past is written by hand."""
    return parcels.mission(by, **fields)


def ruled(
    run: Mission, outcome: str, amount: str = "750.00", *, path: str = PATH, kept: bool = True, **facts: Any
) -> Entry:
    """A ruling on a refund in a mission's journal; with `kept` false as earlier releases wrote it."""
    intent = Intent(**{
        "mission_uid": run.uid, "mission_type": run.type, "mission_title": run.brief.title, "owner_id": None,
        "tool": "payments.refund", "args": {"order_id": "ORD-1001", "amount": amount},
        "effect_class": EffectClass.WRITE, "retry_safety": RetrySafety.KEYED, "reversible": True, **facts,
    })  # fmt: skip
    ruling = Ruling(
        outcome=RulingOutcome(outcome), reason="So it was.", policy_version="refunds v1", rules=("refunds",),
        tiers=(SUPERVISORS,) if outcome == "escalate" else (),
    )
    told = {"tool": intent.tool, "title": "Issue refund", "phase": "plan", **ruling.as_json()}
    return parcels.append(run, Kind.RULING, {**told, "intent": intent.as_json()} if kept else told, path=path)


def asked(run: Mission, amount: str = "750.00", state: str = "approved", *, path: str = PATH, **facts: Any) -> Entry:
    """A ruling that asked people, and how they decided."""
    entry = ruled(run, "escalate", amount, path=path, **facts)
    args = {"order_id": "ORD-1001", "amount": amount}
    Decision.objects.create(
        kind="action", state=state, sentence=f"Refund {amount}", mission=run, path=path, digest="d",
        action={"tool": "payments.refund", "args": args, "effect_class": "write", "args_schema": {}},
        reversibility="compensable",
    )
    return entry


def undone(run: Mission, entry: Entry) -> None:
    """What was ruled on happened, and was rolled back later."""
    parcels.effect(run, EffectState.UNDONE, path=entry.path)


def replayed(version: PolicyVersion, window: Window | None = None, mission_type: str = "") -> Any:
    """A replay from its begin to its end, in this thread and without a mission."""
    chosen = (window or Window()).usual()
    replay = replaying.open_run(uuid7(), version, chosen, mission_type)
    number, more = 0, True
    while more:
        number += 1
        more = replaying.run_part(replay, number).more
    return closing.close_run(replay)
