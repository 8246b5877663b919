"""Demo data: groups, sign-ins, the policy for refunds and three missions to look at. Made once, never reset.

Never for real use: every sign-in has the same published password, so it is refused where DEBUG is off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from approvals.models import PolicyVersion, VersionState
from missions.engine.starting import start

PASSWORD = "standfast"
MEMBERS = {
    "sam": "supervisors", "fiona": "finance", "lee": "legal", "olivia": "operators", "paula": "policy-admins",
    "audrey": "auditors",
}  # fmt: skip
ALSO = {"admin": ("policy-admins", "governors"), "lee": ("governors",)}  # so that paula's changes find their approvers
SIGN_INS = [
    ("sam", "supervisor: decides refunds"),
    ("fiona", "finance: decides refunds above 500 too"),
    ("lee", "legal; governor: decides what loosens a policy"),
    ("olivia", "operator: starts, pauses and cancels missions"),
    ("paula", "policy admin"),
    ("audrey", "auditor"),
    ("admin", "administrator, policy admin and governor"),
]
POLICY, POLICY_FILE = "refunds", Path("approvals/demo/refunds.yaml")
REFUNDS: list[tuple[str, dict[str, Any]]] = [
    ("demo-refund-small", {"order_id": "ORD-1001", "amount": "120.00", "reason": "Arrived damaged"}),
    ("demo-refund-large", {"order_id": "ORD-1002", "amount": "900.00", "reason": "Never arrived"}),
    ("demo-refund-too-large", {"order_id": "ORD-1003", "amount": "2000.00", "reason": "Asks for more than was paid"}),
]


def make() -> list[str]:
    """Make what is missing; says what was made. Runs in the caller's transactions."""
    return [*make_people(), *load_policy(), *start_missions()]


def make_people() -> list[str]:
    """Groups and sign-ins; an existing user keeps password and groups."""
    made = []
    for name, group_name in MEMBERS.items():
        group, _ = Group.objects.get_or_create(name=group_name)
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, f"{name}@example.org", PASSWORD).groups.add(group)
            made.append(f"{name} of {group_name}")
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", "admin@example.org", PASSWORD)
        made.append("admin")
    for name in ALSO if made else ():
        User.objects.get(username=name).groups.add(*(Group.objects.get_or_create(name=one)[0] for one in ALSO[name]))
    return made


def load_policy() -> list[str]:
    """The policy for refunds, unless some version of it is active."""
    if PolicyVersion.objects.filter(policy__name=POLICY, state=VersionState.ACTIVE).exists():
        return []
    call_command("policy", "load", str(settings.BASE_DIR / POLICY_FILE), "--activate", verbosity=0)
    return [f"policy {POLICY}"]


def start_missions() -> list[str]:
    """One refund that needs a supervisor, one that needs finance too, one that its order does not cover."""
    olivia = User.objects.get(username="olivia")
    made = []
    for key, request in REFUNDS:
        title = f"Refund {request['amount']} on {request['order_id']}"
        _, created = start("refund", request, title=title, key=key, started_by=olivia, via="command")
        made += [title] if created else []
    return made
