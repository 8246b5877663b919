"""The type of a request behind sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class SignedInRequest(HttpRequest):
    """A request whose user is signed in; what `login_required` lets through."""

    user: User
    htmx: HtmxDetails
