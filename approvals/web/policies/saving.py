"""Keeping a draft that was edited in the console: checked against its base, so that nobody overwrites unawares."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Policy, PolicyVersion
from approvals.policies import lifecycle
from missions.errors import StandfastError

CONSOLE = "console"


class Overtaken(StandfastError):
    """Somebody saved another version since this draft was opened; nothing was saved."""

    code = "policy_overtaken"

    def __init__(self, newest: PolicyVersion) -> None:
        super().__init__()
        self.newest = newest


class NameTaken(StandfastError):
    """There is a policy of this name already; nothing was saved."""

    code = "policy_name_taken"


def save(
    name: str, rules: list[dict[str, Any]], *, by: User, base: int | None, seen: int | None
) -> PolicyVersion:
    """Keep the rules as a new draft. Own transaction, under the lock of the policy's row.

    `base` is the number of the version that was edited, `seen` that of the newest that the editor knows of; both None
    for a policy that is to be new. Raises Overtaken, NameTaken, and what
    `lifecycle.save_draft` raises.
    """
    with transaction.atomic():
        policy = Policy.objects.select_for_update().filter(name=name).first()
        if policy is None:
            return lifecycle.save_draft(name, rules, by=by, via=CONSOLE)
        newest = policy.versions.order_by("-number").first()
        if newest is not None and seen is None:
            raise NameTaken
        if newest is not None and newest.number != seen:
            raise Overtaken(newest)
        return lifecycle.save_draft(name, rules, by=by, base=_base(policy, base), via=CONSOLE)


def _base(policy: Policy, number: int | None) -> PolicyVersion | None:
    return policy.versions.filter(number=number).first() if number is not None else None


def append(name: str, rules: list[dict[str, Any]], *, by: User) -> PolicyVersion:
    """Keep rules that came from a file as a new draft, whatever is there already. Own transaction."""
    with transaction.atomic():
        policy = Policy.objects.select_for_update().filter(name=name).first()
        newest = policy.versions.order_by("-number").first() if policy else None
        return lifecycle.save_draft(name, rules, by=by, base=newest, via=CONSOLE)
