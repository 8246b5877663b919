"""Sign-ins: noting them, listing a person's own, ending them. Registered by `MissionsConfig.ready`.

A sign-in is noted as Django signs a person in. Ending one deletes its session, which is what a request needs: the very
next one is a stranger's.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from missions.models import SignIn
from missions.models.fields import DatabaseNow

AGENT_LENGTH = 300


@receiver(user_logged_in)
def note(request: HttpRequest, user: User, **_: Any) -> None:
    """Note who signed in from where, under the session's key."""
    session = request.session
    if session.session_key is None:
        session.create()
    agent = request.META.get("HTTP_USER_AGENT", "").replace("\x00", "")[:AGENT_LENGTH]
    told = {"user": user, "address": _address(request), "agent": agent}
    SignIn.objects.update_or_create(session_key=session.session_key, defaults=told)


@receiver(user_logged_out)
def forget(request: HttpRequest, **_: Any) -> None:
    """Note that a person signed out."""
    if request.session.session_key:
        SignIn.objects.filter(session_key=request.session.session_key, ended_at=None).update(ended_at=DatabaseNow())


def _address(request: HttpRequest) -> str | None:
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def going_on(user: User) -> QuerySet[SignIn]:
    """Where this person is signed in now, the latest first."""
    living = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    return SignIn.objects.filter(user=user, ended_at=None, session_key__in=living).order_by("-signed_in_at", "-pk")


@transaction.atomic
def end(user: User, *, but: str | None = None, only: int | None = None) -> int:
    """End this person's sessions but one, or only one of them; how many. Own transaction."""
    rows = going_on(user).exclude(session_key=but) if but else going_on(user)
    if only is not None:
        rows = rows.filter(pk=only)
    keys = list(rows.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    return SignIn.objects.filter(session_key__in=keys).update(ended_at=DatabaseNow())
