"""Factories of policies that live: drafts, changes that are asked, votes on them."""

from __future__ import annotations

from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Decision, Policy, PolicyVersion
from approvals.policies import document, lifecycle, versions
from tests.policies import row

ASKS = row("ask", "escalate", scope={"tool": "payments.*"})
STRICT, LOOSE = [row("all", "deny"), ASKS], [ASKS]


def in_force(*rules, name="refunds", **fields) -> PolicyVersion:
    """A version of these rules in force, past the review."""
    written = document.parse({"name": name, "rules": list(rules) or [ASKS], **fields}, "test")
    return versions.load(written, activate=True, via="test").version


def submitted(rules, by: User, *, name="refunds", **fields) -> tuple[PolicyVersion, Decision]:
    """A draft of these rules, and the decision on it."""
    version = lifecycle.save_draft(name, list(rules), by=by)
    return version, lifecycle.submit(version, by=by, **{"note": "As agreed.", **fields})


def approve(decision: Decision, voter: User, **fields):
    """A vote for what is asked now."""
    decision.refresh_from_db()
    verdict = {"verdict": "approve", "digest": decision.digest, "channel": "console", **fields}
    return votes.cast(decision.pk, voter, **verdict)


def now_in_force(name="refunds") -> int | None:
    """The number of the version in force."""
    found = versions.active(Policy.objects.get(name=name))
    return found.number if found else None


def events(name="refunds") -> list[str]:
    """What happened to the policy, in order."""
    return list(Policy.objects.get(name=name).events.order_by("seq").values_list("what", flat=True))
