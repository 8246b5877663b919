"""Pages of whoever is signed in, below /me/."""

from __future__ import annotations

from django.urls import path

from observability.console import account_views

urlpatterns = [
    path("", account_views.account, name="account"),
    path("sessions/end/", account_views.end_sessions, name="sessions-end"),
    path("tokens/new/", account_views.new_token, name="token-new"),
    path("tokens/<int:token_id>/revoke/", account_views.revoke_token, name="token-revoke"),
]
