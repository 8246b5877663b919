"""Visiting the console's pages in tests, as somebody."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from missions.models import Mission


def signed_in(user: User) -> Client:
    """A client with the user's session."""
    client = Client()
    client.force_login(user)
    return client


def get(user: User, path: str, **options: object) -> str:
    """The HTML of a page that the user may see."""
    response = signed_in(user).get(path, **options)
    assert response.status_code == 200
    return response.content.decode()


def page_of(mission: Mission) -> str:
    """The address of a mission's page."""
    return reverse("mission", args=[mission.uid])
