"""Who may read and who may change policies; the one place that says so."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import AnonymousUser, User

from missions.errors import StandfastError
from missions.web import access

EDITORS: Final = "policy-admins"


class Forbidden(StandfastError):
    """Only policy admins and administrators change policies."""

    code = "permission_denied"


def may_read(user: User | AnonymousUser) -> bool:
    """Whether a person sees policies: whoever sees every mission does."""
    return access.sees_all(user)


def may_edit(user: User | AnonymousUser) -> bool:
    """Whether a person drafts, submits and withdraws: policy admins and administrators. It gives no vote."""
    if not user.is_active:
        return False
    return user.is_superuser or user.groups.filter(name=EDITORS).exists()


def demand(user: User) -> None:
    """Raises Forbidden, unless this person may change policies."""
    if not may_edit(user):
        raise Forbidden
