"""Paths of the pages that try and replay policies, below /policies/."""

from __future__ import annotations

from django.urls import path

from approvals.web import simulation_pages

urlpatterns = [
    path("<slug:name>/versions/<int:number>/try/", simulation_pages.try_page, name="policy-try"),
    path("<slug:name>/versions/<int:number>/replay/", simulation_pages.replay_start, name="policy-replay"),
    path("replays/<uuid:replay_id>/", simulation_pages.replay_page, name="replay"),
]
