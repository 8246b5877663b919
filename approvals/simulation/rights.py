"""Who may look at policies and try them, and who may have one replayed on history. Asked anew each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ADMINS = frozenset({"policy-admins"})
READERS = ADMINS | {"auditors", "operators", "supervisors", "finance", "legal"}


def may_read(user: User | AnonymousUser) -> bool:
    """Whether a person may read policies, try them, and see what replays found."""
    return _in_any(user, READERS)


def may_replay(user: User | AnonymousUser) -> bool:
    """Whether a person may have a policy replayed: policy admins and administrators."""
    return _in_any(user, ADMINS)


def _in_any(user: User | AnonymousUser, groups: frozenset[str]) -> bool:
    return user.is_active and (user.is_superuser or user.groups.filter(name__in=groups).exists())
