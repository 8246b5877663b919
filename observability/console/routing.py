"""Where WebSockets lead."""

from __future__ import annotations

from django.urls import path

from observability.console.consumers import DecisionConsumer, MissionConsumer, OverviewConsumer, QueueConsumer

websocket_urlpatterns = [
    path("ws/missions/<uuid:uid>/", MissionConsumer.as_asgi()),
    path("ws/decisions/<uuid:decision_id>/", DecisionConsumer.as_asgi()),
    path("ws/queue/", QueueConsumer.as_asgi()),
    path("ws/overview/", OverviewConsumer.as_asgi()),
]
