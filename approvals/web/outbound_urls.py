"""Paths of the pages of notifications and webhooks."""

from __future__ import annotations

from django.urls import path

from approvals.web import notification_pages, webhook_pages

urlpatterns = [
    path("me/notifications/", notification_pages.notifications, name="notifications"),
    path("webhooks/", webhook_pages.webhooks_page, name="webhooks"),
    path("webhooks/new/", webhook_pages.new, name="webhook-new"),
    path("webhooks/<int:webhook_id>/", webhook_pages.webhook, name="webhook"),
    path("webhooks/<int:webhook_id>/drop/", webhook_pages.drop, name="webhook-drop"),
    path(
        "webhooks/<int:webhook_id>/deliveries/<uuid:delivery_id>/again/", webhook_pages.again, name="webhook-redeliver"
    ),
]
