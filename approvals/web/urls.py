"""Paths of the queue's pages, below /queue/."""

from __future__ import annotations

from django.urls import path

from approvals.web import bulk_pages, deeds, delegation_pages, pages

urlpatterns = [
    path("", pages.queue_page, name="queue"),
    path("<uuid:decision_id>/", pages.decision_page, name="decision"),
    path("<uuid:decision_id>/vote/", pages.vote, name="decision-vote"),
    path("<uuid:decision_id>/claim/", pages.claim, name="decision-claim"),
    path("<uuid:decision_id>/release/", pages.release, name="decision-release"),
    path("<uuid:decision_id>/delegate/", delegation_pages.delegate, name="decision-delegate"),
    path("<uuid:decision_id>/edit/", deeds.edit, name="decision-edit"),
    path("<uuid:decision_id>/undo/", deeds.undo, name="decision-undo"),
    path("<uuid:decision_id>/withdraw/", deeds.withdraw, name="decision-withdraw"),
    path("<uuid:decision_id>/comment/", deeds.comment, name="decision-comment"),
    path("<uuid:decision_id>/callback/", deeds.call_back, name="decision-callback"),
    path("<uuid:decision_id>/look/", deeds.look, name="decision-look"),
    path("bulk/", bulk_pages.choose, name="queue-bulk"),
    path("bulk/vote/", bulk_pages.vote, name="queue-bulk-vote"),
]
