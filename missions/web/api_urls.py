"""Paths of the missions' REST API, below /api/v1/; none ends with a slash."""

from __future__ import annotations

from django.urls import path

from missions.web import (
    control_api,
    schema,  # noqa: F401  (tells the OpenAPI generator of the token scheme)
)
from missions.web.agents_api import (
    ActivateView,
    AgentMissionsView,
    AgentsView,
    AgentVersionsView,
    AgentVersionView,
    AgentView,
    RetireView,
    RollBackView,
)
from missions.web.api import MissionsView, MissionView, SignalsView
from missions.web.archive_api import ArchivedView, ArchiveView
from missions.web.decided_api import DecidedView, WrongView
from missions.web.files_api import ArtifactsView, ArtifactView
from missions.web.freeze_api import FreezeView, ThawView
from missions.web.goal_api import GoalView
from missions.web.limits_api import CircuitView, LimitsView, LimitView
from missions.web.record_api import (
    CheckpointsView,
    EffectsView,
    JournalView,
    MissionEffectsView,
    TimelinesView,
    VerifyView,
)
from missions.web.registry_api import MissionTypesView, ToolsView
from missions.web.schedules_api import ScheduleRunView, SchedulesView, ScheduleView
from missions.web.servers_api import ServersView, ServerView, ToolFormView
from missions.web.stops_api import StopsView, StopView

urlpatterns = [
    path("missions", MissionsView.as_view(), name="api-missions"),
    path("missions/<uuid:uid>", MissionView.as_view(), name="api-mission"),
    path("missions/<uuid:uid>/journal", JournalView.as_view(), name="api-journal"),
    path("missions/<uuid:uid>/checkpoints", CheckpointsView.as_view(), name="api-checkpoints"),
    path("missions/<uuid:uid>/effects", MissionEffectsView.as_view(), name="api-mission-effects"),
    path("missions/<uuid:uid>/artifacts", ArtifactsView.as_view(), name="api-artifacts"),
    path("missions/<uuid:uid>/artifacts/<str:digest>", ArtifactView.as_view(), name="api-artifact"),
    path("missions/<uuid:uid>/timelines", TimelinesView.as_view(), name="api-timelines"),
    path("missions/<uuid:uid>/signals", SignalsView.as_view(), name="api-signals"),
    path("missions/<uuid:uid>/verify", VerifyView.as_view(), name="api-verify"),
    path("missions/bulk", control_api.BulkView.as_view(), name="api-bulk"),
    path("missions/<uuid:uid>/pause", control_api.pause, name="api-pause"),
    path("missions/<uuid:uid>/stop", control_api.stop, name="api-stop"),
    path("missions/<uuid:uid>/resume", control_api.resume, name="api-resume"),
    path("missions/<uuid:uid>/cancel", control_api.cancel, name="api-cancel"),
    path("missions/<uuid:uid>/retry", control_api.retry, name="api-retry"),
    path("missions/<uuid:uid>/rollback", control_api.RollbackView.as_view(), name="api-rollback"),
    path("missions/<uuid:uid>/goal", GoalView.as_view(), name="api-goal"),
    path("missions/<uuid:uid>/fork", control_api.ForkView.as_view(), name="api-fork"),
    path("missions/<uuid:uid>/replay", control_api.ReplayView.as_view(), name="api-replay"),
    path("missions/<uuid:uid>/decided/<int:seq>", DecidedView.as_view(), name="api-decided"),
    path("missions/<uuid:uid>/decided/<int:seq>/wrong", WrongView.as_view(), name="api-wrong"),
    path("agents", AgentsView.as_view(), name="api-agents"),
    path("agents/<slug:name>", AgentView.as_view(), name="api-agent"),
    path("agents/<slug:name>/versions", AgentVersionsView.as_view(), name="api-agent-versions"),
    path("agents/<slug:name>/versions/<int:number>", AgentVersionView.as_view(), name="api-agent-version"),
    path("agents/<slug:name>/versions/<int:number>/activate", ActivateView.as_view(), name="api-agent-activate"),
    path("agents/<slug:name>/rollback", RollBackView.as_view(), name="api-agent-rollback"),
    path("agents/<slug:name>/retire", RetireView.as_view(), name="api-agent-retire"),
    path("agents/<slug:name>/missions", AgentMissionsView.as_view(), name="api-agent-missions"),
    path("archive", ArchiveView.as_view(), name="api-archive"),
    path("archive/<uuid:archived_id>", ArchivedView.as_view(), name="api-archived"),
    path("freeze", FreezeView.as_view(), name="api-freeze"),
    path("freeze/thaw", ThawView.as_view(), name="api-thaw"),
    path("effects", EffectsView.as_view(), name="api-effects"),
    path("mission-types", MissionTypesView.as_view(), name="api-mission-types"),
    path("schedules", SchedulesView.as_view(), name="api-schedules"),
    path("schedules/<slug:name>", ScheduleView.as_view(), name="api-schedule"),
    path("schedules/<slug:name>/run", ScheduleRunView.as_view(), name="api-schedule-run"),
    path("tools", ToolsView.as_view(), name="api-tools"),
    path("tools/servers", ServersView.as_view(), name="api-servers"),
    path("tools/servers/<str:name>", ServerView.as_view(), name="api-server"),
    path("tools/forms/<int:form_id>", ToolFormView.as_view(), name="api-tool-form"),
    path("tools/<str:name>/circuit", CircuitView.as_view(), name="api-circuit"),
    path("limits", LimitsView.as_view(), name="api-limits"),
    path("limits/<int:limit_id>", LimitView.as_view(), name="api-limit"),
    path("stops", StopsView.as_view(), name="api-stops"),
    path("stops/<int:stop_id>", StopView.as_view(), name="api-stop-lift"),
]
