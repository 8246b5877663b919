"""Paths of the pages of hooks."""

from __future__ import annotations

from django.urls import path

from approvals.web import hook_pages

urlpatterns = [
    path("", hook_pages.hooks_page, name="hooks"),
    path("new/", hook_pages.new, name="hook-new"),
    path("<slug:name>/", hook_pages.hook, name="hook"),
    path("<slug:name>/secret/", hook_pages.secret, name="hook-secret"),
]
