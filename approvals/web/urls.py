"""Paths of the queue's pages, below /queue/."""

from __future__ import annotations

from django.urls import path

from approvals.web import delegation_pages, pages

urlpatterns = [
    path("", pages.queue_page, name="queue"),
    path("<uuid:decision_id>/", pages.decision_page, name="decision"),
    path("<uuid:decision_id>/vote/", pages.vote, name="decision-vote"),
    path("<uuid:decision_id>/claim/", pages.claim, name="decision-claim"),
    path("<uuid:decision_id>/release/", pages.release, name="decision-release"),
    path("<uuid:decision_id>/delegate/", delegation_pages.delegate, name="decision-delegate"),
]
