"""Pages of agents, below /agents/."""

from __future__ import annotations

from django.urls import path

from observability.console import agent_deeds, agent_views

urlpatterns = [
    path("", agent_views.agents, name="agents"),
    path("new/", agent_deeds.new, name="agent-new"),
    path("of/<slug:name>/", agent_views.agent, name="agent"),
    path("of/<slug:name>/edit/", agent_deeds.edit, name="agent-edit"),
    path("of/<slug:name>/difference/", agent_views.difference, name="agent-difference"),
    path("of/<slug:name>/versions/<int:number>/", agent_views.version, name="agent-version"),
    path("of/<slug:name>/versions/<int:number>/activate/", agent_deeds.activate, name="agent-activate"),
    path("of/<slug:name>/roll-back/", agent_deeds.roll_back, name="agent-roll-back"),
    path("of/<slug:name>/retire/", agent_deeds.retire, name="agent-retire"),
]
