"""Agents for tests: what a version says, and agents of which one is in force."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User

from missions.agents import activation, versions
from missions.agents.activation import Deed
from missions.agents.isolation import CAPABILITIES
from missions.agents.versions import Wish
from missions.models import AgentVersion
from missions.sandbox import report
from missions.sandbox.report import Report

SAID: dict[str, Any] = {
    "title": "Researcher", "instructions": "Read what there is.\nSay what you found.", "tools": ["orders.get"],
    "data_classes": ["internal"],
}  # fmt: skip
WRITES = {**SAID, "tools": ["orders.get", "payments.refund"]}


def made(name: str = "researcher", *, in_force: bool = True, by: User | None = None, **said: Any) -> AgentVersion:
    """A new agent; its first version."""
    version = versions.create(name, {**SAID, **said}, Wish(by=by, via="console", note="The first.")).version
    if in_force:
        activation.activate(name, 1, Deed(by=by, via="console", why="It reads only."))
    version.agent.refresh_from_db()
    return version


def isolated(monkeypatch: pytest.MonkeyPatch, **missing: str) -> None:
    """Let the last self-test have found all but what is given."""
    capabilities, at = frozenset(CAPABILITIES) - set(missing), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    found = Report(driver="bubblewrap", capabilities=capabilities, missing=missing, checked_at=at)
    monkeypatch.setattr(report, "current", lambda: found)


def unisolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no self-test have run."""
    monkeypatch.setattr(report, "current", Report)
