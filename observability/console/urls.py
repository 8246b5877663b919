"""Pages of missions."""

from __future__ import annotations

from django.urls import path

from observability.console import (
    bulk_views,
    control_views,
    decided_views,
    follow_views,
    freeze_views,
    goal_views,
    operations,
    roll_back_views,
    start_views,
    views,
)

VERBS = ("pause", "stop", "resume", "retry", "cancel")

urlpatterns = [
    path("", views.missions, name="missions"),
    path("start/", start_views.choose, name="mission-start"),
    path("start/<str:type>/", start_views.start, name="mission-start-type"),
    path("archive/", operations.archive, name="archive"),
    path("archive/<uuid:archived_id>/", operations.archived, name="archived"),
    path("freeze/", freeze_views.freeze, name="freeze"),
    path("bulk/", bulk_views.steer_many, name="missions-bulk"),
    path("<uuid:uid>/", views.mission, name="mission"),
    *(path(f"<uuid:uid>/{verb}/", control_views.control, {"verb": verb}, name=f"mission-{verb}") for verb in VERBS),
    path("<uuid:uid>/roll-back/", roll_back_views.roll_back, name="mission-roll-back"),
    path("<uuid:uid>/decided/<int:seq>/", decided_views.decided, name="mission-decided"),
    path("<uuid:uid>/follow/", follow_views.follow, name="mission-follow"),
    path("<uuid:uid>/goal/", goal_views.goal, name="mission-goal"),
    path("<uuid:uid>/fork/", control_views.fork, name="mission-fork"),
    path("<uuid:uid>/replay/", control_views.check, name="mission-replay"),
]
