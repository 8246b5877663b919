"""Demo data: groups, sign-ins, policies, an agent, and three missions to look at. Made once, never reset.

Never for real use: every sign-in has the same published password, so it is refused where DEBUG is off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from approvals.models import PolicyVersion, VersionState
from missions.agents import activation, versions
from missions.agents.activation import Deed
from missions.agents.versions import Wish
from missions.engine.starting import start
from missions.models import Agent

PASSWORD = "standfast"
MEMBERS = {
    "sam": "supervisors", "fiona": "finance", "lee": "legal", "olivia": "operators", "paula": "policy-admins",
    "audrey": "auditors",
}  # fmt: skip
ALSO = {  # so that paula's changes find their approvers
    "admin": ("policy-admins", "governors", "agent-admins"), "lee": ("governors",), "paula": ("agent-admins",),
}  # fmt: skip
SIGN_INS = [
    ("sam", "supervisor: decides refunds"),
    ("fiona", "finance: decides refunds above 500 too"),
    ("lee", "legal; governor: decides what loosens a policy"),
    ("olivia", "operator: starts, pauses and cancels missions"),
    ("paula", "policy admin, agent admin"),
    ("audrey", "auditor"),
    ("admin", "administrator, policy admin, agent admin and governor"),
]
POLICIES = {name: Path(f"approvals/demo/{name}.yaml") for name in ("refunds", "agents", "goals")}
RESEARCHER = "researcher"
RESEARCH = {
    "title": "Researcher",
    "instructions": "You look into orders and payments for the people who handle refunds. Read what the tools tell, "
    "and answer in plain words: what was ordered and paid, what was paid back, and what does not fit. Name the order, "
    "the amounts and the dates. Where you do not know, say so.",
    "tools": ["orders.get", "payments.history"], "data_classes": ["internal"], "budget": {"turns": 20},
}  # fmt: skip
REFUNDS: list[tuple[str, dict[str, Any]]] = [
    ("demo-refund-small", {"order_id": "ORD-1001", "amount": "120.00", "reason": "Arrived damaged"}),
    ("demo-refund-large", {"order_id": "ORD-1002", "amount": "900.00", "reason": "Never arrived"}),
    ("demo-refund-too-large", {"order_id": "ORD-1003", "amount": "2000.00", "reason": "Asks for more than was paid"}),
]


def make() -> list[str]:
    """Make what is missing; says what was made. Runs in the caller's transactions."""
    return [*make_people(), *load_policies(), *make_agent(), *start_missions()]


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


def load_policies() -> list[str]:
    """The policies for refunds, for agents and for amending goals, unless some version of them is active."""
    active = PolicyVersion.objects.filter(policy__name__in=POLICIES, state=VersionState.ACTIVE)
    missing = POLICIES.keys() - set(active.values_list("policy__name", flat=True))
    for name in sorted(missing):
        call_command("policy", "load", str(settings.BASE_DIR / POLICIES[name]), "--activate", verbosity=0)
    return [f"policy {name}" for name in sorted(missing)]


def make_agent() -> list[str]:
    """An agent that reads orders. It needs an LLM to work; the page Agents says so where none is configured."""
    if Agent.objects.exists():
        return []
    paula = User.objects.get(username="paula")
    versions.create(RESEARCHER, RESEARCH, Wish(by=paula, via="demo", note="To look into orders."))
    why = "It only reads, and what it reads is internal."
    activation.activate(RESEARCHER, 1, Deed(by=paula, via="demo", why=why))
    return [f"agent {RESEARCHER}"]


def start_missions() -> list[str]:
    """One refund that needs a supervisor, one that needs finance too, one that its order does not cover."""
    olivia = User.objects.get(username="olivia")
    made = []
    for key, request in REFUNDS:
        title = f"Refund {request['amount']} on {request['order_id']}"
        _, created = start("refund", request, title=title, key=key, started_by=olivia, via="command")
        made += [title] if created else []
    return made
