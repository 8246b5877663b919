"""Pages of whoever is signed in, below /me/."""

from __future__ import annotations

from django.urls import path

from observability.console import delegation_views

urlpatterns = [
    path("delegations/", delegation_views.delegations_page, name="delegations"),
    path("delegations/<uuid:delegation_id>/revoke/", delegation_views.revoke, name="delegation-revoke"),
]
